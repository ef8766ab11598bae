// The matrix products of attention_sm90: 64 query rows of a warpgroup with a tile of keys, and their
// probabilities with a tile of values. Included by the kernel below its constants and after
// product_of_rows_sm90.cuh. By all 128 threads of a warpgroup.
#pragma once

// d += a b; a [64, 16] in registers, b [16, kBlockV] in shared memory.
__device__ __forceinline__ void multiply_values_step(float (&d)[kBlockV / 2], const u32* a, u32 b) {
//% for n in (HEAD_DIM_V / 8 + (HEAD_DIM_V + 255) / 256 - 1) / ((HEAD_DIM_V + 255) / 256) * 4..(HEAD_DIM_V / 8 + (HEAD_DIM_V + 255) / 256 - 1) / ((HEAD_DIM_V + 255) / 256) * 4 + 1
  asm volatile(
      "{\n"
      "  .reg .b64 b;\n"
      "  mov.b64 b, {%${n + 4}, %${n + 5}};\n"
//% if SCALAR == 'bf16'
      "  wgmma.mma_async.sync.aligned.m64n${2 * n}k16.f32.bf16.bf16 {"
//% else
      "  wgmma.mma_async.sync.aligned.m64n${2 * n}k16.f32.f16.f16 {"
//% end
//% for i in 0..n / 4 - 1
      "%${4 * i}, %${4 * i + 1}, %${4 * i + 2}, %${4 * i + 3}, "
//% end
      "%${n - 4}, %${n - 3}, %${n - 2}, %${n - 1}}, {%${n}, %${n + 1}, %${n + 2}, %${n + 3}}, b, 1, 1, 1, 1;\n"
      "}"
      :
//% for i in 0..n / 4 - 1
      "+f"(d[${4 * i}]), "+f"(d[${4 * i + 1}]), "+f"(d[${4 * i + 2}]), "+f"(d[${4 * i + 3}]),
//% end
      "+f"(d[${n - 4}]), "+f"(d[${n - 3}]), "+f"(d[${n - 2}]), "+f"(d[${n - 1}])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(descriptor_high(kSwizzleV)));
//% end
}

// Issues scores = q k^T, or scores += q k^T behind ALiBi's product, for a warpgroup's 64 rows.
__device__ __forceinline__ void multiply_keys(float (&scores)[kBlockN / 2], u32 query, u32 keys) {
  multiply_rows<kDimSteps, 64, kSwizzleK, kAlibiProduct>(scores, query, keys);
}

// Issues out += p v.
__device__ __forceinline__ void multiply_values(float (&out)[kBlockV / 2], u32 (&probabilities)[kBlockN / 4],
                                                u32 values) {
  pin(out);
  pin(probabilities);
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < kBlockN / 16; ++step)
    multiply_values_step(out, &probabilities[4 * step], values + ((step * 16 * kSwizzleV) >> 4));
  wgmma_commit();
}

// The accumulator's layout is that of the left operand: rounding is all there is to do.
__device__ __forceinline__ void pack(u32 (&probabilities)[kBlockN / 4], const float (&scores)[kBlockN / 2]) {
#pragma unroll
  for (int i = 0; i < kBlockN / 4; ++i)
    probabilities[i] = device::pack<scalar>(scores[2 * i], scores[2 * i + 1]);
}
