// With u = x + bias, g = gate + gate_bias:
//   dx = dy * f'(u), or if kGated  dx = dy * f(g), dgate = dy * u * f'(g)
//   dbias_rows[b, :] = sum of dx, dgate_bias_rows[b, :] = sum of dgate, over the rows that block b of a tile visits
//
//   dy, x, gate, dx, dgate       [rows..., columns]  scalar, any row strides, last one 1; dx and dgate may be any of
//                                                    the others, but not each other
//   bias, gate_bias              [columns]           bias_scalar; nullptr: none
//   dbias_rows, dgate_bias_rows  [blocks, columns]   f32; column_sums adds them up
//
// Sums are f32, in an order that depends on the number of rows and blocks alone. A thread has the columns of one vector,
// and kRowsAtOnce rows at a time; where sums are wanted it walks over the rows.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/activation.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::${BIAS};  // none: no bias
constexpr device::Function kFunction = device::Function::${FUNCTION};
constexpr bool kGated = ${GATED};
constexpr bool kHasDbias = ${HAS_DBIAS};
constexpr bool kHasDgateBias = ${HAS_DGATE_BIAS};
constexpr int kMostColumns = ${MOST_COLUMNS};  // rounded up to a power of two; 1024: or more
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which columns and every address and row stride are multiples
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kRowsAtOnce = ${ROWS_AT_ONCE};  // of a thread, loaded together

using namespace device;

//% include "activation/columns.cuh"

constexpr bool kSums = kHasDbias || kHasDgateBias;
static_assert(kGated || !kHasDgateBias, "there is no gate");

struct Params {
  scalar *dx, *dgate;
  const scalar *dy, *x, *gate;
  const bias_scalar *bias, *gate_bias;
  float *dbias_rows, *dgate_bias_rows;
  i64 rows;
  i64 extent[5];
  RowStrides strides[5];  // dx, dgate, dy, x, gate
  i64 columns;
  int tiles;   // of kThreadsPerRow vectors in a row
  int blocks;  // that share the rows of a tile
  float negative_slope;
};

__device__ __forceinline__ void add(Values& sum, const Values& x, bool counts) {
#pragma unroll
  for (int e = 0; e < kVec; ++e) sum.at[e] += counts ? x.at[e] : 0.0f;
}

// Writes a block's sums of its rows. By all threads of the block.
__device__ __forceinline__ void write_sums(const Values& mine, float* row, bool in_row) {
  __shared__ float sums[kRowsPerBlock][kThreadsPerRow * kVec];
  const int place = threadIdx.x % kThreadsPerRow * kVec;
  __syncthreads();
#pragma unroll
  for (int e = 0; e < kVec; ++e) sums[threadIdx.x / kThreadsPerRow][place + e] = mine.at[e];
  __syncthreads();
  if (threadIdx.x >= kThreadsPerRow || !in_row) return;
#pragma unroll
  for (int e = 0; e < kVec; ++e) {
    float sum = 0.0f;
#pragma unroll
    for (int r = 0; r < kRowsPerBlock; ++r) sum += sums[r][place + e];
    row[e] = sum;
  }
}

extern "C" __global__ void __launch_bounds__(kThreads) activation_backward(const __grid_constant__ Params params) {
  const i64 vector = static_cast<i64>(blockIdx.x % params.tiles) * kThreadsPerRow + threadIdx.x % kThreadsPerRow;
  const bool in_row = vector * kVec < params.columns;
  const i64 column = in_row ? vector * kVec : 0, block = blockIdx.x / params.tiles;
  const Values bias = bias_of(params.bias, column), gate_bias = bias_of(params.gate_bias, column);
  Values dbias{}, dgate_bias{};

#pragma unroll 1
  for (i64 first = block * kStep + threadIdx.x / kThreadsPerRow; first < params.rows;
       first += static_cast<i64>(params.blocks) * kStep) {
    // Loads under no condition can be issued together: of what there is not, another row is loaded.
    Vector dy[kRowsAtOnce], x[kRowsAtOnce], gate[kRowsAtOnce];
    i64 to_dx[kRowsAtOnce], to_dgate[kRowsAtOnce];
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const i64 number = first + r * kRowsPerBlock;
      i64 offset[5];
      row_offsets(offset, params.extent, params.strides, number < params.rows ? number : params.rows - 1);
      dy[r] = load<scalar, kVec>(params.dy + offset[2] + column);
      x[r] = load<scalar, kVec>(params.x + offset[3] + column);
      if constexpr (kGated) gate[r] = load<scalar, kVec>(params.gate + offset[4] + column);
      to_dx[r] = offset[0] + column;
      to_dgate[r] = offset[1] + column;
    }
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const bool counts = in_row && first + r * kRowsPerBlock < params.rows;
      const Values d = widen(dy[r]), u = widen(x[r]), g = kGated ? widen(gate[r]) : Values{};
      Values dx, dgate;
#pragma unroll
      for (int e = 0; e < kVec; ++e) {
        const float shifted = u.at[e] + bias.at[e];
        const Activated f = activate<kFunction>(kGated ? g.at[e] + gate_bias.at[e] : shifted, params.negative_slope);
        dx.at[e] = d.at[e] * (kGated ? f.value : f.slope);
        dgate.at[e] = kGated ? d.at[e] * shifted * f.slope : 0.0f;
      }
      if (counts) {
        store_values(params.dx + to_dx[r], dx);
        if constexpr (kGated) store_values(params.dgate + to_dgate[r], dgate);
      }
      if constexpr (kHasDbias) add(dbias, dx, counts);
      if constexpr (kHasDgateBias) add(dgate_bias, dgate, counts);
    }
  }
  if constexpr (kHasDbias) write_sums(dbias, params.dbias_rows + block * params.columns + column, in_row);
  if constexpr (kHasDgateBias) write_sums(dgate_bias, params.dgate_bias_rows + block * params.columns + column, in_row);
}
