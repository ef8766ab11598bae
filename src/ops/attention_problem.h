// What an attention kernel is specialised for.
#pragma once

#include "ops/attention_arguments.h"
#include "runtime/runtime_impl.h"

namespace sprue {

inline constexpr char kAttentionPortable[] = "attention_portable";
inline constexpr char kAttentionSm90[] = "attention_sm90";

/// The problem parameters of both kernels' manifests, where they are described.
struct AttentionProblem {
  enum class Bias : std::uint8_t { none, f32, f16, bf16 };

  DType scalar = DType::f16;
  int head_dim = 0, head_dim_v = 0;
  int packed_heads = 1;  ///< Heads that share a tile: a power of two up to 64.
  int alignment = 16;    ///< 16, 8, 4 or 2.
  Bias bias = Bias::none;
  bool causal = false, window = false, chunk = false;
  bool softcap = false, alibi = false, sinks = false, signed_scale = false;
  bool dropout = false, probabilities = false;
  bool varlen = false, paged = false, has_lse = false;
  bool is_short =
      false;  ///< Few queries, where that changes the schedule of attention_sm90, which alone knows it.
  bool bounded = false;  ///< Likewise: scores are capped so that the softmax needs no maximum.
  bool sm90 = false;     ///< Whether attention_sm90 may do it, should the device have it. Not a parameter.

  /// Packed without loss.
  KernelKey key(int device) const;
  /// Names what differs from the manifests' defaults.
  Request request(const char* kernel) const;
};

/// "f32": a value of the parameters that name the type of a bias.
const char* name_of(AttentionProblem::Bias bias);
AttentionProblem::Bias bias_of(const ConstTensor& bias);

AttentionProblem specialise(const Attention& args, const AttentionLayout& layout, const AttentionViews& views,
                            const AttentionArguments& arguments);

/// Queries of a sequence; of packed sequences, their mean. Rounded up; 0 if there is none.
std::int64_t mean_queries(const AttentionLayout& layout, const AttentionArguments& arguments);

/// How many query heads that share keys and values fill a tile together: 1, or a power of two. A tile of
/// several heads has fewer queries of each. That wastes fewer rows at the end of a sequence, and fewer keys
/// that only some of the queries see; short sequences would leave most of a tile empty, and read the same
/// keys once per head.
int packed_heads(const Attention& args, const AttentionLayout& layout, const AttentionArguments& arguments);

}  // namespace sprue
