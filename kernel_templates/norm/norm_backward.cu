// The gradients of a normalisation with n = (z - m) * factor, factor = 1 / sqrt(mean((z - m)^2) + eps), m =
// mean(z) if kCentred, else 0; g = dy * (weight + kZeroCentred):
//
//   dz[r, :] = factor * (g - n * mean(n * g) - m') + dresidual_out[r, :],  m' = mean(g) if kCentred, else 0
//   dx, dresidual = dz
//   dweight_rows[b, :] = sum of dy * n, dbias_rows[b, :] = sum of dy, over the rows r that block b visits
//
//   dy, dx                    [rows..., kHidden]  scalar, any row strides, last one 1; dx may be dy
//   z                         [rows..., kHidden]  z_scalar: what was normalised
//   dresidual_out, dresidual  [rows..., kHidden]  residual_scalar; may be the same
//   weight                    [kHidden]           weight_scalar
//   dweight_rows, dbias_rows  [blocks, kHidden]   f32; column_sums adds them up
//
// Sums are f32, in an order that depends on the number of rows and blocks alone. A block, or a cluster of
// kCluster of them, walks over rows; kThreadsPerRow neighbouring threads share one, and keep it, the row that is
// next, and their columns' sums over rows.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/reduce.cuh"
//% if CLUSTER > 1
//% include "device/cluster.cuh"
//% end

enum class Sums { registers, shared, global };

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using z_scalar = device::${Z};
using weight_scalar = device::${WEIGHT};      // none: y was not scaled
using residual_scalar = device::${RESIDUAL};  // none: neither of its gradients is there
constexpr int kHidden = ${HIDDEN};
constexpr bool kCentred = ${CENTRED};
constexpr bool kZeroCentred = ${ZERO_CENTRED};
constexpr bool kHasDresidualOut = ${HAS_DRESIDUAL_OUT};
constexpr bool kHasDresidual = ${HAS_DRESIDUAL};
constexpr bool kHasDweight = ${HAS_DWEIGHT};
constexpr bool kHasDbias = ${HAS_DBIAS};
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which every address and row stride is a multiple
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kCluster = ${CLUSTER};
constexpr Sums kSumsIn = Sums::${SUMS};   // where sums over rows are kept
constexpr int kSharedWords = ${SHARED_WORDS};  // for each column
constexpr bool kKeepsRow = ${KEEPS_ROW};  // in registers; else it is read again, then from L2
constexpr bool kLoadsAhead = ${LOADS_AHEAD};  // the next row, while this one is summed

static_assert((kThreadsPerRow & (kThreadsPerRow - 1)) == 0, "rows are reduced by halving");
static_assert(kCluster == 1 || kRowsPerBlock == 1, "a cluster works on one row");
static_assert((kSumsIn == Sums::shared) == (kSharedWords == 2), "two sums for each column");
static_assert(kKeepsRow || !kLoadsAhead, "a row that is loaded ahead is kept");
static_assert(kRowsPerBlock == 1 || kSumsIn == Sums::registers, "rows side by side have sums of their own");

using namespace device;

constexpr bool kHasWeight = is_given<weight_scalar>, kHasResidual = is_given<residual_scalar>;
constexpr bool kSums = kHasDweight || kHasDbias;
static_assert(kHasResidual || !(kHasDresidualOut || kHasDresidual),
              "gradients of the residual have its type");

constexpr int kThreads = kThreadsPerRow * kRowsPerBlock;
__host__ __device__ constexpr int larger(int a, int b) {
  return a > b ? a : b;
}
constexpr int kWidestBytes =
    larger(larger(sizeof(scalar), sizeof(z_scalar)),
           larger(kHasWeight ? sizeof(weight_scalar) : 1, kHasResidual ? sizeof(residual_scalar) : 1));

//% include "rows/vectors.cuh"
//% include "rows/sums.cuh"

constexpr int kUnroll = kKeepsRow ? kVecsPerThread : 2;

struct Params {
  scalar* dx;
  const scalar* dy;
  const z_scalar* z;
  const residual_scalar* dresidual_out;
  residual_scalar* dresidual;
  const weight_scalar* weight;
  float *dweight_rows, *dbias_rows;
  i64 rows;
  i64 extent[5];
  RowStrides strides[5];  // dx, dy, z, dresidual_out, dresidual
  float eps;
};

// This thread's vectors of a tensor's row, loaded together and widened one by one.
template <class T>
struct RowPart {
  Vec<T, kVec> at[kVecsPerThread];

  __device__ __forceinline__ void load(const T* row, int lane, bool active) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      at[i] = {};
      if (active && has_vector(lane, i)) at[i] = load_streaming<T, kVec>(row + column_of(lane, i));
    }
  }
};

// A row of dy and z: kept, or read from memory again.
struct Row {
  const scalar* dy;
  const z_scalar* z;
  RowPart<scalar> kept_dy;
  RowPart<z_scalar> kept_z;

  __device__ __forceinline__ Values dy_of(int lane, int i) const {
    return kKeepsRow ? widen(kept_dy.at[i]) : load_values(dy + column_of(lane, i));
  }
  __device__ __forceinline__ Values z_of(int lane, int i) const {
    return kKeepsRow ? widen(kept_z.at[i]) : load_values(z + column_of(lane, i));
  }
};

// g = dy * weight. The template parameter stands for weight_scalar.
template <class Weight>
__device__ __forceinline__ Values weighted(const Values& dy, const Weight* weight, int column) {
  Values g = dy;
  if constexpr (is_given<Weight>) {
    const Values w = load_values(weight + column);
#pragma unroll
    for (int e = 0; e < kVec; ++e) g.at[e] *= kZeroCentred ? w.at[e] + 1.0f : w.at[e];
  }
  return g;
}

// Adds the gradient that came in for the residual and writes the one that goes out. The template parameter
// stands for residual_scalar.
template <class Residual>
__device__ __forceinline__ void pass_residual(Values& dz, const Residual* dresidual_out,
                                              Residual* dresidual) {
  if constexpr (is_given<Residual>) {
    if constexpr (kHasDresidualOut) {
      const Values d = load_values(dresidual_out);
#pragma unroll
      for (int e = 0; e < kVec; ++e) dz.at[e] += d.at[e];
    }
    if constexpr (kHasDresidual) store_values(dresidual, dz);
  }
}

// A thread's sums over rows of its columns: in registers, or in words of memory that no other thread uses.
struct ColumnSums {
  Values registers[kSums && kSumsIn == Sums::registers ? kVecsPerThread : 1];
  float* words;

  __device__ __forceinline__ void clear(float* memory, int lane) {
    words = memory;
#pragma unroll(kKeepsRow ? kVecsPerThread : 1)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (has_vector(lane, i)) set(lane, i, Values{});
    }
  }
  __device__ __forceinline__ float* word(int lane, int i, int e) const {
    return words + (kSumsIn == Sums::shared ? (i * kVec + e) * kThreadsPerRow + static_cast<int>(threadIdx.x)
                                            : column_of(lane, i) + e);
  }
  __device__ __forceinline__ Values get(int lane, int i) const {
    if constexpr (kSumsIn == Sums::registers) {
      return registers[i];
    } else {
      Values values;
#pragma unroll
      for (int e = 0; e < kVec; ++e) values.at[e] = *word(lane, i, e);
      return values;
    }
  }
  __device__ __forceinline__ void set(int lane, int i, const Values& values) {
    if constexpr (kSumsIn == Sums::registers) {
      registers[i] = values;
    } else {
#pragma unroll
      for (int e = 0; e < kVec; ++e) *word(lane, i, e) = values.at[e];
    }
  }
};

// Writes the sums of a block's rows: row `block` of `target`. By all threads of the block.
__device__ __forceinline__ void write_sums(const ColumnSums& sums, float* target, int block, int lane) {
  if constexpr (kSumsIn == Sums::global) return;  // there they are
  float* const row = target + static_cast<i64>(block) * kHidden;
  if constexpr (kRowsPerBlock == 1) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has_vector(lane, i)) continue;
      const Values values = sums.get(lane, i);
#pragma unroll
      for (int e = 0; e < kVec; ++e) row[column_of(lane, i) + e] = values.at[e];
    }
  } else {
    __shared__ float groups[kRowsPerBlock][kHidden];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has_vector(lane, i)) continue;
      const Values values = sums.get(lane, i);
#pragma unroll
      for (int e = 0; e < kVec; ++e)
        groups[threadIdx.x / kThreadsPerRow][column_of(lane, i) + e] = values.at[e];
    }
    __syncthreads();
    for (int column = threadIdx.x; column < kHidden; column += kThreads) {
      float sum = 0.0f;
#pragma unroll
      for (int group = 0; group < kRowsPerBlock; ++group) sum += groups[group][column];
      row[column] = sum;
    }
  }
}

//% if CLUSTER > 1
extern "C" __global__ void __launch_bounds__(kThreads) __cluster_dims__(kCluster, 1, 1)
//% else
extern "C" __global__ void __launch_bounds__(kThreads)
//% end
    norm_backward(const __grid_constant__ Params params) {
  extern __shared__ float shared[];
  const int lane = row_lane();
  const int block = blockIdx.x / kCluster, blocks = gridDim.x / kCluster;
  RowSums row_sums;
  ColumnSums dweight, dbias;
  const auto memory = [&](float* rows, int words) {
    return kSumsIn == Sums::global ? rows + static_cast<i64>(block) * kHidden : shared + words;
  };
  if constexpr (kHasDweight) dweight.clear(memory(params.dweight_rows, 0), lane);
  if constexpr (kHasDbias)
    dbias.clear(memory(params.dbias_rows, kHasDweight ? kVecsPerThread * kVec * kThreadsPerRow : 0), lane);

  // A block's rows are `step` apart; rows side by side may have different ends.
  const i64 step = static_cast<i64>(blocks) * kRowsPerBlock;
  i64 first = static_cast<i64>(block) * kRowsPerBlock, offset[5];
  const auto is_row = [&](i64 row) { return kRowsPerBlock == 1 || row < params.rows; };
  const auto begin = [&](Row& row, i64 number) {
    row_offsets(offset, params.extent, params.strides, number);
    row.dy = params.dy + offset[1];
    row.z = params.z + offset[2];
    if constexpr (kKeepsRow) {
      row.kept_z.load(row.z, lane, is_row(number));
      row.kept_dy.load(row.dy, lane, is_row(number));
    }
  };
  Row next;
  const i64 place = threadIdx.x / kThreadsPerRow;
  if (kLoadsAhead && first < params.rows) begin(next, first + place);

#pragma unroll 1
  for (; first < params.rows; first += step) {
    const bool active = is_row(first + place);
    if constexpr (!kLoadsAhead) begin(next, first + place);
    const Row row = next;
    const i64 to_dx = offset[0], of_dresidual_out = offset[3], to_dresidual = offset[4];
    if (kLoadsAhead && first + step < params.rows) begin(next, first + step + place);
    const auto has = [&](int i) { return active && has_vector(lane, i); };

    // Without a mean to subtract, the products with n are those with z.
    float sums[2] = {};  // z and g, or z^2 and z * g
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const Values z = row.z_of(lane, i), g = weighted(row.dy_of(lane, i), params.weight, column_of(lane, i));
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        sums[0] = kCentred ? sums[0] + z.at[e] : fmaf(z.at[e], z.at[e], sums[0]);
        sums[1] = kCentred ? sums[1] + g.at[e] : fmaf(z.at[e], g.at[e], sums[1]);
      }
    }
    row_sums(sums);
    const float mean = kCentred ? sums[0] * (1.0f / kHidden) : 0.0f;
    const float shift = kCentred ? sums[1] * (1.0f / kHidden) : 0.0f;
    if constexpr (kCentred) {
      sums[0] = sums[1] = 0.0f;
#pragma unroll(kUnroll)
      for (int i = 0; i < kVecsPerThread; ++i) {
        if (!has(i)) continue;
        const Values z = row.z_of(lane, i), g = weighted(row.dy_of(lane, i), params.weight, column_of(lane, i));
#pragma unroll
        for (int e = 0; e < kVec; ++e) {
          sums[0] = fmaf(z.at[e] - mean, z.at[e] - mean, sums[0]);
          sums[1] = fmaf(z.at[e] - mean, g.at[e], sums[1]);
        }
      }
      row_sums(sums);
    }
    const float factor = rsqrtf(sums[0] * (1.0f / kHidden) + params.eps);
    const float along = factor * sums[1] * (1.0f / kHidden);
#pragma unroll(kUnroll)
    for (int i = 0; i < kVecsPerThread; ++i) {
      if (!has(i)) continue;
      const int column = column_of(lane, i);
      const Values dy = row.dy_of(lane, i);
      Values n = row.z_of(lane, i), dz = weighted(dy, params.weight, column);
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        n.at[e] = (n.at[e] - mean) * factor;
        dz.at[e] = factor * (fmaf(-n.at[e], along, dz.at[e]) - shift);
      }
      pass_residual(dz, params.dresidual_out + of_dresidual_out + column, params.dresidual + to_dresidual + column);
      store_values(params.dx + to_dx + column, dz);
      if constexpr (kHasDweight) {
        Values w = dweight.get(lane, i);
#pragma unroll
        for (int e = 0; e < kVec; ++e) w.at[e] = fmaf(dy.at[e], n.at[e], w.at[e]);
        dweight.set(lane, i, w);
      }
      if constexpr (kHasDbias) {
        Values b = dbias.get(lane, i);
#pragma unroll
        for (int e = 0; e < kVec; ++e) b.at[e] += dy.at[e];
        dbias.set(lane, i, b);
      }
    }
  }
  if constexpr (kHasDweight) write_sums(dweight, params.dweight_rows, block, lane);
  if constexpr (kHasDbias) write_sums(dbias, params.dbias_rows, block, lane);
  row_sums.finish();
}
