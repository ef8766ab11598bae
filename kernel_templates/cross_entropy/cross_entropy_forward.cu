// With t = logit_scale * logits[r, :], or softcap * tanh(logit_scale * logits[r, :] / softcap):
//
//   lse[r]    = log(sum(exp(t)))
//   z_loss[r] = lse_square_scale * lse[r]^2
//   loss[r]   = lse[r] - (1 - smoothing) * t[labels[r]] - smoothing * mean(t) + z_loss[r]
//   dlogits[r, :] = the gradient of loss[r], times *inverse_count if there is one
//
// A label of ignore_index: the row is not read, its results are 0. One that is no class: loss and gradient
// are NaN.
//
//   logits, dlogits             [rows..., classes]  scalar, any row strides, last one 1; may be the same
//   labels                      [rows...]           i32 or i64
//   loss, z_loss, lse           [rows]              f32; null where they are not wanted
//   precomputed_lse             [rows]              f32; if kPrecomputed
//   partials                    [rows, 3]           f32; if kPartials, in place of all other results: lse of
//                                                   the classes here, t of the label or 0, sum of t
//
// All arithmetic is f32. One block, or one cluster, per row. A thread has kVecs vectors in registers at a
// time. Where the gradient is written, too, the row waits for it in shared memory if that is large enough;
// else it is read again.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if SHARED_VECS > 0
//% include "device/cp_async.cuh"
//% end

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
constexpr int kLabelBytes = ${LABEL_BYTES};
constexpr int kMostClasses = ${MOST_CLASSES};  // classes, rounded up to a power of two
constexpr int kVec = ${VEC};  // elements that move at once; rows of both tensors are misaligned alike
constexpr bool kSmoothing = ${SMOOTHING};
constexpr bool kSoftcap = ${SOFTCAP};
constexpr bool kGradient = ${GRADIENT};
constexpr bool kPrecomputed = ${PRECOMPUTED};
constexpr bool kPartials = ${PARTIALS};
constexpr int kRowDims = ${ROW_DIMS};   // dimensions in front of the last one
constexpr bool kFewRows = ${FEW_ROWS};  // a hint: not enough for the GPU, one block each

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreads = ${THREADS};
constexpr int kVecs = ${VECS};
constexpr int kSharedVecs = ${SHARED_VECS};  // of each thread; 0: the row is not kept
constexpr int kCluster = ${CLUSTER};

using namespace device;

static_assert(kThreads % 32 == 0, "rows are reduced by whole warps");
static_assert(!kPartials || !(kGradient || kPrecomputed), "the gradient needs the lse of all classes");

//% include "cross_entropy/labels.cuh"
//% include "cross_entropy/logits.cuh"
//% include "cross_entropy/row_totals.cuh"

constexpr int kLanes = kThreads * kCluster;  // threads that share a row
constexpr bool kReadsRow = !kPrecomputed || kSmoothing;
constexpr bool kKeepsRow = kSharedVecs > 0;
static_assert(!kKeepsRow || kLanes * kSharedVecs * kVec >= kMostClasses, "shared memory is for whole rows");
static_assert(!kKeepsRow || (kGradient && kVec > 1), "only vectors wait for a gradient");

struct Params {
  const scalar* logits;
  scalar* dlogits;
  const label_scalar* labels;
  const float *precomputed_lse, *inverse_count;
  float *loss, *z_loss, *lse, *partials;
  i64 extent[5];
  RowStrides strides[3];  // logits, dlogits, labels
  LossTerms terms;
  i64 class_start;  // the class of the first column
  int classes;
};

__device__ __forceinline__ void write_results(const Params& params, i64 row, float loss, float z_loss,
                                              float lse) {
  if (params.loss != nullptr) params.loss[row] = loss;
  if (params.z_loss != nullptr) params.z_loss[row] = z_loss;
  if (params.lse != nullptr) params.lse[row] = lse;
}
__device__ __forceinline__ void write_partials(const Params& params, i64 row, float lse, float at_label,
                                               float sum) {
  float* const partials = params.partials + 3 * row;
  partials[0] = lse;
  partials[1] = at_label;
  partials[2] = sum;
}

__device__ __forceinline__ void clear_row(scalar* row, const RowShape& shape, int lane) {
  const float zeros[kVec] = {};
#pragma unroll 1
  for (int v = lane; v < shape.vectors; v += kLanes) store_values(row + shape.column_of(v), zeros);
  if (lane < shape.edges) row[shape.column_of_edge(lane)] = scalar{};
}

//% if SHARED_VECS > 0
// Where this thread keeps the row's vector number v: one of lane + i * kLanes.
__device__ __forceinline__ uint4* kept(int v) {
  extern __shared__ uint4 shared[];
  return shared + v / kLanes * kThreads + threadIdx.x;
}
//% end

// Vector number v of a row.
__device__ __forceinline__ Packed vector_of(const scalar* row, int v) {
  //% if SHARED_VECS > 0
  return load_packed(reinterpret_cast<const scalar*>(kept(v)));
  //% elif GRADIENT
  return load_packed(row + v * kVec);
  //% else
  return load_packed(row + v * kVec);
  //% end
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    cross_entropy_forward(const __grid_constant__ Params params) {
  const i64 row = blockIdx.x / kCluster;
  const int lane = blockIdx.x % kCluster * kThreads + threadIdx.x;
  i64 offset[3];
  row_offsets(offset, params.extent, params.strides, row);
  const scalar* const x = params.logits + offset[0];
  scalar* const dx = params.dlogits + offset[1];
  const RowShape shape(x, params.classes);
  const Label label =
      label_of(params.labels[offset[2]], params.terms.ignore_index, params.terms.total_classes);
  if (label.ignored) {
    if constexpr (kGradient) clear_row(dx, shape, lane);
    if (lane != 0) return;
    if constexpr (kPartials) {
      write_partials(params, row, 0.0f, 0.0f, 0.0f);
    } else {
      write_results(params, row, 0.0f, 0.0f, 0.0f);
    }
    return;
  }

  RowTotals row_totals;
  const Logits logits(params.terms);
  const int label_column = column_of(label, params.class_start, params.classes);
  float at_label = 0.0f;  // read before dlogits, which may be logits, is written
  if (lane == 0 && label_column >= 0) at_label = logits.of(to_f32(x[label_column]));
  const bool has_edge = (kReadsRow || kGradient) && lane < shape.edges;
  const int edge_column = shape.column_of_edge(lane);
  const scalar edge = has_edge ? x[edge_column] : scalar{};

  const scalar* const vectors = x + shape.head;
//% if SHARED_VECS > 0
#pragma unroll 1
  for (int v = lane; v < shape.vectors; v += kLanes)
    copy_async<16>(shared_address(kept(v)), vectors + v * kVec, true);
  commit_copies();
  wait_copies<0>();
  //% end
  Totals totals;
  if constexpr (kReadsRow) {
#pragma unroll 1
    for (int first = lane; first < shape.vectors; first += kVecs * kLanes) {
      Packed packed[kVecs];
#pragma unroll
      for (int i = 0; i < kVecs; ++i) {
        if (first + i * kLanes < shape.vectors) packed[i] = vector_of(vectors, first + i * kLanes);
      }
#pragma unroll
      for (int i = 0; i < kVecs; ++i) {
        if (first + i * kLanes >= shape.vectors) continue;
        float t[kVec];
#pragma unroll
        for (int e = 0; e < kVec; ++e) t[e] = logits.of(value_of(packed[i], e));
        totals.add(t);
      }
    }
  }
  if (kReadsRow && has_edge) {
    const float t[1] = {logits.of(to_f32(edge))};
    totals.add(t);
  }
  totals = row_totals(totals);

  const float log_of_sum = kPrecomputed ? 0.0f : log2f(totals.sum);
  const float lse = kPrecomputed ? params.precomputed_lse[row] : (totals.max + log_of_sum) * kLn2;
  if (lane == 0) {
    if constexpr (kPartials) {
      write_partials(params, row, lse, at_label, totals.logits);
    } else {
      // lse less the label's logit, without the rounding of lse
      const float surprise =
          kPrecomputed ? lse - at_label : (fmaf(-at_label, kLog2E, totals.max) + log_of_sum) * kLn2;
      const float z_loss = params.terms.lse_square_scale * lse * lse;
      float loss = surprise + z_loss;
      if constexpr (kSmoothing) {
        const float mean = __fdividef(totals.logits, static_cast<float>(params.classes));
        loss = fmaf(params.terms.smoothing, at_label - mean, loss);
      }
      write_results(params, row, label.bad ? not_a_number() : loss, z_loss, lse);
    }
  }

  if constexpr (kGradient) {
    const float dloss = params.inverse_count != nullptr ? *params.inverse_count : 1.0f;
    const RowGradient gradient(params.terms, lse, kPrecomputed ? lse * kLog2E : totals.max,
                               kPrecomputed ? 1.0f : totals.sum, label.bad ? not_a_number() : dloss);
    if (has_edge) store_gradient(dx + edge_column, edge, edge_column == label_column, logits, gradient);
#pragma unroll 1
    for (int v = lane; v < shape.vectors; v += kLanes) {
      const int column = shape.column_of(v);
      store_gradients(dx + column, vector_of(vectors, v), column, label_column, logits, gradient);
    }
  }
}
