// Joins what cross_entropy_forward, with kPartials, left on every rank for its share of the classes:
//
//   lse[r]    = log(sum over ranks of exp(partials[:, r, 0]))
//   z_loss[r] = lse_square_scale * lse[r]^2
//   loss[r]   = lse[r] - (1 - smoothing) * sum of partials[:, r, 1]
//               - smoothing / total_classes * sum of partials[:, r, 2] + z_loss[r]
//
// 0 for a label of ignore_index; a loss of NaN for a label that is no class.
//
//   partials           [ranks, rows, 3]  f32
//   labels             [rows...]         i32 or i64, any strides
//   loss, z_loss, lse  [rows]            f32; null where they are not wanted
//
// One thread per row; ranks are added in their order.

//% include "device/types.cuh"
//% include "device/reduce.cuh"

// Problem: what is computed. Set by the caller.
constexpr int kLabelBytes = ${LABEL_BYTES};
constexpr int kRowDims = ${ROW_DIMS};  // dimensions of labels

// Schedule: how it is computed. Affects speed, never the result.
constexpr int kThreads = ${THREADS};

using namespace device;

//% include "cross_entropy/labels.cuh"

struct Params {
  const float* partials;
  const label_scalar* labels;
  float *loss, *z_loss, *lse;
  i64 rows;
  i64 extent[5];
  RowStrides strides[1];  // labels
  LossTerms terms;
  int ranks;
};

extern "C" __global__ void __launch_bounds__(kThreads)
    cross_entropy_combine(const __grid_constant__ Params params) {
  const i64 row = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= params.rows) return;
  i64 offset[1];
  row_offsets(offset, params.extent, params.strides, row);
  const LossTerms& terms = params.terms;
  const Label label = label_of(params.labels[offset[0]], terms.ignore_index, terms.total_classes);

  float loss = 0.0f, z_loss = 0.0f, lse = 0.0f;
  if (!label.ignored) {
    const float* const first = params.partials + 3 * row;
    const i64 next = 3 * params.rows;
    float max = negative_infinity(), at_label = 0.0f, sum_of_logits = 0.0f;
#pragma unroll 4
    for (int rank = 0; rank < params.ranks; ++rank) {
      max = fmaxf(max, first[rank * next]);
      at_label += first[rank * next + 1];
      sum_of_logits += first[rank * next + 2];
    }
    const float base = base_of(max);
    float sum = 0.0f;
#pragma unroll 4
    for (int rank = 0; rank < params.ranks; ++rank) sum += exp2_approx((first[rank * next] - base) * kLog2E);
    lse = max + logf(sum);
    z_loss = terms.lse_square_scale * lse * lse;
    loss = max - at_label + logf(sum) + z_loss;
    if (terms.smoothing != 0.0f)
      loss = fmaf(terms.smoothing, at_label - sum_of_logits / static_cast<float>(terms.total_classes), loss);
    if (label.bad) loss = not_a_number();
  }
  if (params.loss != nullptr) params.loss[row] = loss;
  if (params.z_loss != nullptr) params.z_loss[row] = z_loss;
  if (params.lse != nullptr) params.lse[row] = lse;
}
