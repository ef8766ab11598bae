// What a batch's rows have in common, each result written where its pointer is not null:
//
//   loss           = sum of losses, divided by the number of labels that are not ignored if `mean`
//   z_loss         likewise, of z_losses
//   inverse_count  = 1 / the number of labels that are not ignored
//   bad_labels     = the number of labels that are neither a class nor ignored
//
//   labels            [rows...]  i32 or i64, any strides
//   losses, z_losses  [rows]     f32
//
// One block: sums are in a fixed order.

//% include "device/types.cuh"
//% include "device/reduce.cuh"

// Problem: what is computed. Set by the caller.
constexpr int kLabelBytes = ${LABEL_BYTES};
constexpr int kRowDims = ${ROW_DIMS};  // dimensions of labels

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreads = ${THREADS};

using namespace device;

//% include "cross_entropy/labels.cuh"

struct Params {
  const label_scalar* labels;
  const float *losses, *z_losses;
  float *loss, *z_loss, *inverse_count;
  int* bad_labels;
  i64 rows;
  i64 extent[5];
  RowStrides strides[1];  // labels
  i64 ignore_index, total_classes;
  int mean;
};

struct Sums {
  float loss = 0.0f, z_loss = 0.0f;
  int counted = 0, bad = 0;

  __device__ __forceinline__ void add(const Sums& other) {
    loss += other.loss;
    z_loss += other.z_loss;
    counted += other.counted;
    bad += other.bad;
  }
};

extern "C" __global__ void __launch_bounds__(kThreads)
    cross_entropy_sum(const __grid_constant__ Params params) {
  constexpr int kWarps = kThreads / 32;
  __shared__ Sums warps[kWarps];
  Sums sums;
#pragma unroll(kRowDims == 1 ? 4 : 1)
  for (i64 row = threadIdx.x; row < params.rows; row += kThreads) {
    i64 offset[1];
    row_offsets(offset, params.extent, params.strides, row);
    const Label label = label_of(params.labels[offset[0]], params.ignore_index, params.total_classes);
    sums.add({params.loss != nullptr ? params.losses[row] : 0.0f,
              params.z_loss != nullptr ? params.z_losses[row] : 0.0f, !label.ignored, label.bad});
  }
  sums = {lane_sum<32>(sums.loss), lane_sum<32>(sums.z_loss), __reduce_add_sync(0xffffffffu, sums.counted),
          __reduce_add_sync(0xffffffffu, sums.bad)};
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sums;
  __syncthreads();
  if (threadIdx.x != 0) return;
#pragma unroll 1
  for (int w = 1; w < kWarps; ++w) sums.add(warps[w]);
  const float inverse_count = 1.0f / static_cast<float>(sums.counted);
  const float factor = params.mean ? inverse_count : 1.0f;
  if (params.loss != nullptr) *params.loss = sums.loss * factor;
  if (params.z_loss != nullptr) *params.z_loss = sums.z_loss * factor;
  if (params.inverse_count != nullptr) *params.inverse_count = inverse_count;
  if (params.bad_labels != nullptr) *params.bad_labels = sums.bad;
}
