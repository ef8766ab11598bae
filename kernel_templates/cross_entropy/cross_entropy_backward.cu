// dlogits[r, :] = dloss[r] * the gradient of cross_entropy_forward's loss[r], given lse[r]:
//
//   dloss * (exp(t - lse) * (1 + 2 * lse_square_scale * lse) - (1 - smoothing) * (column is labels[r])
//            - smoothing / total_classes) * logit_scale, times the slope of the softcap
//
// 0 for a label of ignore_index, without a look at logits, lse and dloss; NaN for one that is no class.
//
//   logits, dlogits  [rows..., classes]  scalar, any row strides, last one 1; may be the same
//   labels, dloss    [rows...]           i32 or i64; f32; any strides, 0 too
//   lse              [rows]              f32
//
// A block handles kThreads * kVecs vectors of one row, and the first one of a row its edges too.

//% include "device/types.cuh"
//% include "device/vector.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kLabelBytes = ${LABEL_BYTES};
constexpr int kMostClasses = ${MOST_CLASSES};  // classes, rounded up to a power of two
constexpr int kVec = ${VEC};  // elements that move at once; rows of both tensors are misaligned alike
constexpr bool kSoftcap = ${SOFTCAP};
constexpr int kRowDims = ${ROW_DIMS};  // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result.
constexpr int kThreads = ${THREADS};
constexpr int kVecs = ${VECS};

using namespace device;

static_assert(kThreads % 32 == 0, "a warp has a thread for every edge");

//% include "cross_entropy/labels.cuh"
//% include "cross_entropy/logits.cuh"

constexpr int kBlocksPerRow = ceil_div(ceil_div(kMostClasses, kVec), kThreads * kVecs);

struct Params {
  const scalar* logits;
  scalar* dlogits;
  const label_scalar* labels;
  const float *lse, *dloss, *inverse_count;
  i64 extent[5];
  RowStrides strides[4];  // logits, dlogits, labels, dloss
  LossTerms terms;
  i64 class_start;  // the class of the first column
  int classes;
};

extern "C" __global__ void __launch_bounds__(kThreads)
    cross_entropy_backward(const __grid_constant__ Params params) {
  const i64 row = blockIdx.x / kBlocksPerRow;
  const int part = blockIdx.x % kBlocksPerRow;
  i64 offset[4];
  row_offsets(offset, params.extent, params.strides, row);
  const scalar* const x = params.logits + offset[0];
  scalar* const dx = params.dlogits + offset[1];
  const RowShape shape(x, params.classes);
  const int first = part * kThreads * kVecs + threadIdx.x;
  const bool has_edge = part == 0 && static_cast<int>(threadIdx.x) < shape.edges;
  const int edge_column = shape.column_of_edge(threadIdx.x);

  const Label label =
      label_of(params.labels[offset[2]], params.terms.ignore_index, params.terms.total_classes);
  if (label.ignored) {
    const float zeros[kVec] = {};
#pragma unroll
    for (int i = 0; i < kVecs; ++i) {
      if (first + i * kThreads < shape.vectors)
        store_values(dx + shape.column_of(first + i * kThreads), zeros);
    }
    if (has_edge) dx[edge_column] = scalar{};
    return;
  }

  Packed packed[kVecs];
#pragma unroll
  for (int i = 0; i < kVecs; ++i) {
    if (first + i * kThreads < shape.vectors)
      packed[i] = load_packed(x + shape.column_of(first + i * kThreads));
  }
  const float count = params.inverse_count != nullptr ? *params.inverse_count : 1.0f;
  const float dloss = label.bad ? not_a_number() : params.dloss[offset[3]] * count;
  const float lse = params.lse[row];
  const int label_column = column_of(label, params.class_start, params.classes);
  const Logits logits(params.terms);
  const RowGradient gradient(params.terms, lse, lse * kLog2E, 1.0f, dloss);
#pragma unroll
  for (int i = 0; i < kVecs; ++i) {
    const int column = shape.column_of(first + i * kThreads);
    if (first + i * kThreads < shape.vectors)
      store_gradients(dx + column, packed[i], column, label_column, logits, gradient);
  }
  if (has_edge)
    store_gradient(dx + edge_column, x[edge_column], edge_column == label_column, logits, gradient);
}
