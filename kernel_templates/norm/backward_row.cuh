// One row of what gradients come from. Included by norm_backward below its Params.
#pragma once

//% include "norm/row_part.cuh"

// A row of one tensor that stays in registers if kKeepsRow.
template <class T>
struct KeptPart : RowPart<T> {
  Vec<T, kVec> kept[kKeepsRow ? kVecsPerThread : 1];

  __device__ __forceinline__ void keep(int lane, bool active) {
#pragma unroll
    for (int i = 0; i < kVecsPerThread; ++i) {
      kept[kKeepsRow ? i : 0] = {};
      if (active && has_vector(lane, i)) kept[kKeepsRow ? i : 0] = this->read(lane, i);
    }
  }
  __device__ __forceinline__ Values get(int lane, int i) const {
    return widen(kKeepsRow ? kept[kKeepsRow ? i : 0] : this->read(lane, i));
  }
};

// dy, z, the gate and dresidual_out of the row of that number, if there is one.
struct Row : RowPlace {
  KeptPart<scalar> dy[kOutputs];
  KeptPart<z_scalar> z;
  //% if GATE != 'none'
  KeptPart<scalar> gate;
  //% end
  //% if HAS_DRESIDUAL_OUT
  RowPart<residual_scalar> dresidual_out;
  //% end
  int lane;
  bool is_there;

  __device__ __forceinline__ Row(const Params& params, i64 row_number, int stage)
      : lane(row_lane()), is_there((kRowsPerBlock == 1 && kStages == 0) || row_number < params.rows) {
    static_cast<RowPlace&>(*this) = place_of(params, row_number, is_there);
    int start = kSharedWords * kVecsPerThread * kThreads * kVec * sizeof(float);  // sums over rows are in front
    dy[0].find(params.dy[0] + at[kDy], start, stage);
    if constexpr (kOutputs == 2) dy[kOutputs - 1].find(params.dy[1] + at[kDy1], start, stage);
    z.find(params.z + at[kZ], start, stage);
    //% if GATE != 'none'
    gate.find(params.gate + at[kGate], start, stage);
    //% end
    //% if HAS_DRESIDUAL_OUT
    dresidual_out.find(params.dresidual_out + at[kDresidualOut], start, stage);
    //% end
  }
  __device__ __forceinline__ bool has(int i) const { return is_there && has_vector(lane, i); }
  // Begins to copy vector i of all of them to shared memory.
  __device__ __forceinline__ void copy(int i) const {
    //% if STAGES > 0
    if (!has(i)) return;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) dy[o].copy(lane, i);
    z.copy(lane, i);
    //% if GATE != 'none'
    gate.copy(lane, i);
    //% end
    //% if HAS_DRESIDUAL_OUT
    dresidual_out.copy(lane, i);
    //% end
    //% end
  }
  __device__ __forceinline__ void keep() {
    if constexpr (!kKeepsRow) return;
    z.keep(lane, is_there);
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) dy[o].keep(lane, is_there && has_y);
    //% if GATE != 'none'
    gate.keep(lane, is_there);
    //% end
  }
  __device__ __forceinline__ Values dy_of(int output, int i) const {
    //% if Y_ROWS
    if (!has_y) return {};
    //% end
    return dy[output].get(lane, i);
  }
};

// A weight, or 1. The template parameter stands for weight_scalar.
template <class Weight>
__device__ __forceinline__ Values weight_of(const Weight* weight, int column) {
  Values w;
  if constexpr (is_given<Weight>) w = load_values(weight + column);
#pragma unroll
  for (int e = 0; e < kVec; ++e) w.at[e] = !is_given<Weight> ? 1.0f : kZeroCentred ? w.at[e] + 1.0f : w.at[e];
  return w;
}

// kVec columns of a row: z, what was normalised, and the gradients of n * weight + bias and of n.
struct RowVector {
  Values z, t, du[kOutputs], dn;
};
__device__ __forceinline__ RowVector vector_of(const Params& params, const Row& row, int i) {
  RowVector v;
  v.z = v.t = row.z.get(row.lane, i);
  v.dn = {};
  //% if GATE != 'none'
  const Values gate = silu(row.gate.get(row.lane, i));
  //% end
  //% if GATE == 'first'
  multiply(v.t, gate);
  //% end
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    v.du[o] = row.dy_of(o, i);
    //% if GATE == 'last'
    multiply(v.du[o], gate);
    //% end
    Values dn = v.du[o];
    if constexpr (kHasWeight) multiply(dn, weight_of(params.weight[o], column_of(row.lane, i)));
    add(v.dn, dn);
  }
  return v;
}
