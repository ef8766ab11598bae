// What attention_sm90 does at the ends of its rows and its tiles, whichever way out is written. Included by the kernel.
#pragma once

// Rows `valid` to kBlockN of a tile of values become zeros: 0 times what lies beyond a sequence may be NaN.
// Every warpgroup clears for itself, so that it need not wait for others.
__device__ __forceinline__ void clear_rows(u32 values, int valid, int warpgroup) {
  const int chunks = (kBlockN - max(valid, 0)) * (kSwizzleV / 16);
#pragma unroll 1
  for (int p = 0; p < kPanelsV; ++p) {
    const u32 first = values + (p * kBlockN + max(valid, 0)) * kSwizzleV;
    for (int i = threadIdx.x % 128; i < chunks; i += 128) clear_shared(first + 16 * i);
  }
  fence_async_proxy();
  named_sync(kGroupBarrier + warpgroup, 128);
}

// How a row of out is stored: the address of its first column that a tile computes, and how many there are from there.
__device__ __forceinline__ scalar* address_of_out(const Arguments& args, int batch, const Sequence& sequence,
                                                  const Row& row, int first_column) {
  return args.out + batch * args.out_stride[0] + (i64{sequence.first_q} + row.query) * args.out_stride[1] +
         row.head * args.out_stride[2] + first_column;
}
__device__ __forceinline__ int columns_of_out(int first_column) {
  return kHeadDimV % kBlockV == 0 ? kBlockV : kHeadDimV - first_column;
}
constexpr bool kStreamsOut = kBlockV > 64;  // measured: narrower rows take longer so

// A lane's elements of row r of its two, normalised and rounded.
__device__ __forceinline__ void pack_row(u32 (&words)[kBlockV / 8], const float (&out)[kBlockV / 2], float factor,
                                         int r) {
#pragma unroll
  for (int tile = 0; tile < kBlockV / 8; ++tile)
    words[tile] = device::pack<scalar>(out[4 * tile + 2 * r] * factor, out[4 * tile + 2 * r + 1] * factor);
}

__device__ __forceinline__ void write_lse(const Arguments& args, int batch, const Sequence& sequence, const Row& row,
                                          float lse) {
  if (threadIdx.x % 4 == 0 && row.query < sequence.seqlen_q)
    args.lse[batch * args.lse_stride[0] + row.head * args.lse_stride[1] +
             (i64{sequence.first_q} + row.query) * args.lse_stride[2]] = lse;
}
