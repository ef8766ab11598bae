// stats[b, h, i] = {lse[b, h, i] / ln 2, dot(dout[b, i, h, :], out[b, i, h, :])}
// with +infinity for an lse that is not finite: the row sees no key. All tensors as
// sprue/ops/attention_backward.h describes them; rows that no sequence has are computed as any other.
//
// Also sets dq_sums, dq_marks and dbias_marks to zero, where another kernel is to add to them.
//
// A group of lanes reads a row; the dot product is summed in f32.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% include "device/dependent.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::none;
constexpr int kHeadDimV = ${HEAD_DIM_V};
constexpr int kAlignment = ${ALIGNMENT};  // bytes that divide every address and stride of dout and out

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kLanes = ${LANES};                // that share a row
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};

using namespace device;

constexpr bool kVarlen = false;
constexpr int kThreads = kLanes * kRowsPerBlock;
constexpr int kVec = kAlignment / 2;
constexpr int kVecs = kHeadDimV / kVec;
constexpr int kVecsPerLane = ceil_div(kVecs, kLanes);

static_assert(kHeadDimV % 8 == 0, "rows are read in groups of 8 elements");
static_assert(kLanes <= 32 && kThreads % 32 == 0, "the lanes of a row belong to one warp");

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_backward_delta(const __grid_constant__ BackwardArguments args) {
  let_next_kernel_begin();
  const Arguments& forward = args.forward;
  const int lane = threadIdx.x % kLanes;
  const i64 block = gridDim.x - 1 - blockIdx.x;  // what the next kernel needs first comes last: L2 still has it
  const i64 chunks = (args.dq_chunks + gridDim.x - 1) / gridDim.x, end = min((block + 1) * chunks, args.dq_chunks);
  for (i64 i = block * chunks + threadIdx.x; i < end; i += kThreads)
    reinterpret_cast<float4*>(args.dq_sums)[i] = float4{};
  const bool packed = forward.cu_seqlens_q != nullptr;
  const i64 rows = static_cast<i64>(packed ? 1 : forward.batch) * forward.seqlen_q * forward.heads;
  const i64 row = block * kRowsPerBlock + threadIdx.x / kLanes;
  const i64 position = min(row, rows - 1) / forward.heads;  // heads of one position are neighbours in memory
  const int head = static_cast<int>(min(row, rows - 1) - position * forward.heads);
  const i64 batch = position / forward.seqlen_q, i = position - batch * forward.seqlen_q;

  const auto row_of_tensor = [&](const scalar* tensor, const i64(&stride)[3]) {
    return tensor + batch * stride[0] + i * stride[1] + head * stride[2];
  };
  const scalar* const dout = row_of_tensor(args.dout, args.dout_stride);
  const scalar* const out = row_of_tensor(forward.out, forward.out_stride);
  float sum = 0.0f;
#pragma unroll
  for (int n = 0; n < kVecsPerLane; ++n) {
    const int vec = n * kLanes + lane;
    if (kVecs % kLanes == 0 || vec < kVecs) {
      const auto a = load<scalar, kVec>(dout + vec * kVec), b = load<scalar, kVec>(out + vec * kVec);
#pragma unroll
      for (int e = 0; e < kVec; ++e) sum = fmaf(element(a, e), element(b, e), sum);
    }
  }
  sum = lane_sum<kLanes>(sum);
  if (lane != 0 || row >= rows) return;
  const float lse = forward.lse[batch * forward.lse_stride[0] + head * forward.lse_stride[1] + i * forward.lse_stride[2]];
  args.stats[batch * args.row_stride[0] + head * args.row_stride[1] + i * args.row_stride[2]] = {
      isfinite(lse) ? lse * kLog2E : -negative_infinity(), sum};
}
