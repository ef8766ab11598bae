// One row of what gradients come from. Included by norm_backward below its Params.
#pragma once

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

// dy, z and the gate: kept, or read from memory again.
struct Row : RowPlace {
  RowPart<scalar> kept_dy[kOutputs];
  RowPart<z_scalar> kept_z;
  //% if GATE != 'none'
  RowPart<scalar> kept_gate;
  //% end

  __device__ __forceinline__ const scalar* dy(const Params& params, int output) const {
    return output == 0 ? params.dy[0] + at[kDy] : params.dy[1] + at[kDy1];
  }
  __device__ __forceinline__ void load(const Params& params, int lane, bool active) {
    kept_z.load(params.z + at[kZ], lane, active);
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) kept_dy[o].load(dy(params, o), lane, active && has_y);
    //% if GATE != 'none'
    kept_gate.load(params.gate + at[kGate], lane, active);
    //% end
  }
  __device__ __forceinline__ Values dy_of(const Params& params, int output, int lane, int i) const {
    if constexpr (kKeepsRow) return widen(kept_dy[output].at[i]);
    //% if Y_ROWS
    if (!has_y) return {};
    //% end
    return load_values(dy(params, output) + column_of(lane, i));
  }
  __device__ __forceinline__ Values z_of(const Params& params, int lane, int i) const {
    return kKeepsRow ? widen(kept_z.at[i]) : load_values(params.z + at[kZ] + column_of(lane, i));
  }
  //% if GATE != 'none'
  __device__ __forceinline__ Values gate_of(const Params& params, int lane, int i) const {
    return kKeepsRow ? widen(kept_gate.at[i]) : load_values(params.gate + at[kGate] + column_of(lane, i));
  }
  //% end
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
__device__ __forceinline__ RowVector vector_of(const Params& params, const Row& row, int lane, int i) {
  RowVector v;
  v.z = v.t = row.z_of(params, lane, i);
  v.dn = {};
  //% if GATE != 'none'
  const Values gate = silu(row.gate_of(params, lane, i));
  //% end
  //% if GATE == 'first'
  multiply(v.t, gate);
  //% end
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    v.du[o] = row.dy_of(params, o, lane, i);
    //% if GATE == 'last'
    multiply(v.du[o], gate);
    //% end
    Values dn = v.du[o];
    if constexpr (kHasWeight) multiply(dn, weight_of(params.weight[o], column_of(lane, i)));
    add(v.dn, dn);
  }
  return v;
}
