// y[r, c] = f(x[r, c] + bias[c]), or if kGated  y[r, c] = f(gate[r, c] + gate_bias[c]) * (x[r, c] + bias[c])
//
//   x, gate, y       [rows..., columns]  scalar, any row strides, last one 1; y may be x or gate
//   bias, gate_bias  [columns]           bias_scalar; nullptr: none
//
// A thread has the columns of one vector, and kRowsAtOnce rows at a time.

//% include "device/types.cuh"
//% include "device/vector.cuh"
//% include "device/activation.cuh"

// Problem: what is computed. Set by the caller.
using scalar = device::${SCALAR};
using bias_scalar = device::${BIAS};  // none: no bias
constexpr device::Function kFunction = device::Function::${FUNCTION};
constexpr bool kGated = ${GATED};
constexpr int kMostColumns = ${MOST_COLUMNS};  // rounded up to a power of two; 1024: or more
constexpr int kAlignment = ${ALIGNMENT};  // elements, of which columns and every address and row stride are multiples
constexpr int kRowDims = ${ROW_DIMS};     // dimensions in front of the last one

// Schedule: how it is computed. Affects speed, never the result beyond rounding.
constexpr int kThreadsPerRow = ${THREADS_PER_ROW};
constexpr int kRowsPerBlock = ${ROWS_PER_BLOCK};
constexpr int kRowsAtOnce = ${ROWS_AT_ONCE};  // of a thread, loaded together

using namespace device;

//% include "activation/columns.cuh"

struct Params {
  scalar* y;
  const scalar *x, *gate;
  const bias_scalar *bias, *gate_bias;
  i64 rows;
  i64 extent[5];
  RowStrides strides[3];  // y, x, gate
  i64 columns;
  int tiles;  // of kThreadsPerRow vectors in a row
  float negative_slope;
};

extern "C" __global__ void __launch_bounds__(kThreads) activation_forward(const __grid_constant__ Params params) {
  const i64 vector = static_cast<i64>(blockIdx.x % params.tiles) * kThreadsPerRow + threadIdx.x % kThreadsPerRow;
  const bool in_row = vector * kVec < params.columns;
  const i64 column = in_row ? vector * kVec : 0;
  const i64 first = static_cast<i64>(blockIdx.x / params.tiles) * kStep + threadIdx.x / kThreadsPerRow;
  const Values bias = bias_of(params.bias, column), gate_bias = bias_of(params.gate_bias, column);

  // Loads under no condition can be issued together: of what there is not, another row is loaded.
  Vector x[kRowsAtOnce], gate[kRowsAtOnce];
  i64 target[kRowsAtOnce];
#pragma unroll
  for (int r = 0; r < kRowsAtOnce; ++r) {
    const i64 number = first + r * kRowsPerBlock;
    i64 offset[3];
    row_offsets(offset, params.extent, params.strides, number < params.rows ? number : params.rows - 1);
    x[r] = load<scalar, kVec>(params.x + offset[1] + column);
    if constexpr (kGated) gate[r] = load<scalar, kVec>(params.gate + offset[2] + column);
    target[r] = in_row && number < params.rows ? offset[0] + column : -1;
  }
#pragma unroll
  for (int r = 0; r < kRowsAtOnce; ++r) {
    Values y = widen(x[r]);
    const Values g = kGated ? widen(gate[r]) : Values{};
#pragma unroll
    for (int e = 0; e < kVec; ++e) {
      const float u = y.at[e] + bias.at[e];
      y.at[e] = kGated ? activate<kFunction>(g.at[e] + gate_bias.at[e], params.negative_slope).value * u
                       : activate<kFunction>(u, params.negative_slope).value;
    }
    if (target[r] >= 0) store_values(params.y + target[r], y);
  }
}
