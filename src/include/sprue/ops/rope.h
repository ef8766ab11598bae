// Rotary position embedding. sprue/ops.h says what holds for all operators.
#pragma once

#include <cstdint>
#include <vector>

#include "sprue/runtime.h"
#include "sprue/tensor.h"

namespace sprue {

/// y[b, i, h, :] is x[b, i, h, :] with the first rotary_dim = 2 * (last extent of cos) channels rotated in pairs, the
/// others as they are. With p = offset + offsets[b] + i, c = cos[p, n], s = sin[p, n]:
///
///   y[.., first(n)]  = x[.., first(n)] * c - x[.., second(n)] * s
///   y[.., second(n)] = x[.., first(n)] * s + x[.., second(n)] * c
///   first(n) = n, second(n) = n + rotary_dim / 2;   interleaved: first(n) = 2 n, second(n) = 2 n + 1
///
/// All arithmetic is f32. A position that the tables do not have, below 0 or at their end, leaves its row as it is.
/// x_k, if given, is rotated by the same launch, for a layer's queries and keys. With norm_weight every row is
/// multiplied by norm_weight / sqrt(mean(x[b, i, h, :]^2) + norm_eps) before it is rotated.
/// Su et al. 2021, arXiv:2104.09864.
struct Rope {
  Tensor y;              ///< Shape and dtype of x; may be x itself, must not overlap it otherwise.
  ConstTensor x;         ///< [batch, seqlen, heads, head_dim], f32 | f16 | bf16; packed: [total, heads, head_dim].
  ConstTensor cos, sin;  ///< [positions, rotary_dim / 2], f32 or dtype of x; rotary_dim <= head_dim.
  Tensor y_k = {};       ///< Shape and dtype of x_k; may be x_k itself.
  ConstTensor x_k = {};  ///< As x, with heads of its own.
  ConstTensor cos_k = {}, sin_k = {};  ///< Tables of x_k where they differ (XPos); shape and dtype of cos.
  bool interleaved = false;
  bool conjugate = false;         ///< Rotates back, s becoming -s: the gradient of x given that of y.
  std::int64_t offset = 0;        ///< Added to all positions.
  ConstTensor offsets = {};       ///< [batch], i32.
  ConstTensor cu_seqlens = {};    ///< [batch + 1], i32, ascending from 0: x and x_k are packed.
  ConstTensor norm_weight = {};   ///< [head_dim], dtype of x; not with conjugate.
  ConstTensor norm_weight_k = {};  ///< Of x_k; both or neither, where x_k is given.
  float norm_eps = 1e-6f;
};
SPRUE_API void rope(Runtime& runtime, const Rope& args, Stream stream = nullptr);
SPRUE_API KernelInfo prepare(Runtime& runtime, const Rope& args);

/// How angles grow with positions: cos[p, n] = m cos(p f(n)), sin alike. Without scaling f(n) = base^(-2 n / rotary_dim).
struct RopeScaling {
  enum class Kind {
    none,
    linear,  ///< f / factor.
    ntk,     ///< base * factor^(rotary_dim / (rotary_dim - 2)) takes the place of base.
    yarn,    ///< Peng et al. 2023, arXiv:2309.00071: f / factor for low, f for high frequencies; m = 0.1 ln(factor) + 1.
    llama3,  ///< f / factor for wavelengths above original_positions / low_frequency, f for those below
             ///< original_positions / high_frequency, between them in between.
    xpos     ///< Sun et al. 2022, arXiv:2212.10554: m grows with the position for x and shrinks for x_k.
  };
  Kind kind = Kind::none;
  double factor = 1;                  ///< By how much the context grows; not for none and xpos.
  double original_positions = 4096;   ///< The context before; yarn and llama3.
  double fast = 32, slow = 1;         ///< Rotations over that context between which yarn blends.
  double low_frequency = 1, high_frequency = 4;  ///< llama3.
  double scale_base = 512;            ///< xpos.
};

/// Row-major [positions, rotary_dim / 2], on the host: what rope() takes once it is on the device. cos_k and sin_k are
/// empty but for xpos.
struct RopeTables {
  std::vector<float> cos, sin, cos_k, sin_k;
};
/// ArgumentError unless rotary_dim is even and positive and the numbers make sense.
SPRUE_API RopeTables rope_tables(std::int64_t positions, std::int64_t rotary_dim, double base = 10000,
                                 const RopeScaling& scaling = {});

}  // namespace sprue
