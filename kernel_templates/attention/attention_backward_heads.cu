// dsinks[h]     = -sum_{b, i} exp(sinks[h] - lse[b, h, i]) delta[b, h, i]
// dslopes[b, h] = sum_i slope_rows[b, h, i], summed over b too if the slopes of all batches are the same
// with all tensors as sprue/ops/attention_backward.h and attention/backward_arguments.cuh describe them.
//
// One block for each head. Sums are f32, in an order that depends on the lengths of the sequences alone.

//% include "device/types.cuh"
//% include "device/reduce.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::none;
constexpr bool kVarlen = ${VARLEN};  // sequences have lengths of their own
constexpr bool kSinks = ${SINKS};    // dsinks is wanted
constexpr bool kSlopes = ${SLOPES};  // dslopes is wanted

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreads = ${THREADS};

static_assert(kThreads % 32 == 0, "a block is whole warps");

using namespace device;

//% include "attention/arguments.cuh"
//% include "attention/backward_arguments.cuh"

// The sum over the block, in thread 0.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float warps[kThreads / 32];
  x = lane_sum<32>(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();
  float total = 0.0f;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) total += warps[w];
  return total;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_backward_heads(const __grid_constant__ BackwardArguments args) {
  const Arguments& forward = args.forward;
  const int head = blockIdx.x;
  const bool slope_per_batch = args.dslope_stride[0] != 0;
  const float sink = kSinks ? forward.sinks[head * forward.sink_stride] * kLog2E : 0.0f;
  float sinks = 0.0f, slopes = 0.0f;
#pragma unroll 1
  for (int batch = 0; batch < forward.batch; ++batch) {
    const Sequence sequence = sequence_of(forward, batch);
    const i64 first =
        batch * args.row_stride[0] + head * args.row_stride[1] + sequence.first_q * args.row_stride[2];
#pragma unroll 4
    for (int i = threadIdx.x; i < sequence.seqlen_q; i += kThreads) {
      if constexpr (kSinks) {
        const RowStats row = args.stats[first + i * args.row_stride[2]];
        sinks = fmaf(-exp2_approx(sink - row.lse), row.delta, sinks);
      }
      if constexpr (kSlopes) slopes += args.slope_rows[first + i * args.row_stride[2]];
    }
    if (kSlopes && slope_per_batch) {
      const float total = block_sum(slopes);
      if (threadIdx.x == 0)
        args.dslopes[batch * args.dslope_stride[0] + head * args.dslope_stride[1]] = total;
      slopes = 0.0f;
    }
  }
  if (kSlopes && !slope_per_batch) {
    const float total = block_sum(slopes);
    if (threadIdx.x == 0) args.dslopes[head * args.dslope_stride[1]] = total;
  }
  if constexpr (kSinks) {
    const float total = block_sum(sinks);
    if (threadIdx.x == 0) args.dsinks[head * args.dsink_stride] = total;
  }
}
