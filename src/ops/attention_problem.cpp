#include "ops/attention_problem.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "ops/attention_sm90.h"

namespace sprue {
namespace {

constexpr std::int64_t kFewQueries = 64;  // of a sequence: they leave most of a tile empty

/// Up to how many queries per sequence a schedule of its own pays; 0 where there is none.
int most_short_queries(const AttentionProblem& problem) {
  const int width = std::max(problem.head_dim, problem.head_dim_v);
  if (width <= 96) return problem.packed_heads == 1 ? 1024 : kFewQueries;
  if (width <= 128) return problem.causal ? 4096 : 2048;
  return problem.head_dim > 192 && problem.head_dim_v == 256 && !problem.causal && !problem.varlen ? 512 : 0;
}

}  // namespace

const char* name_of(AttentionProblem::Bias bias) {
  constexpr const char* kNames[] = {"none", "f32", "f16", "bf16"};
  return kNames[static_cast<int>(bias)];
}

AttentionProblem::Bias bias_of(const ConstTensor& bias) {
  if (!ops::given(bias)) return AttentionProblem::Bias::none;
  if (bias.dtype == DType::f32) return AttentionProblem::Bias::f32;
  return bias.dtype == DType::f16 ? AttentionProblem::Bias::f16 : AttentionProblem::Bias::bf16;
}

std::int64_t mean_queries(const AttentionLayout& layout, const AttentionArguments& arguments) {
  if (!layout.packed_q) return arguments.seqlen_q;
  if (arguments.batch == 0) return 0;
  return (std::int64_t{arguments.seqlen_q} + arguments.batch - 1) / arguments.batch;
}

int packed_heads(const Attention& args, const AttentionLayout& layout, const AttentionArguments& arguments) {
  constexpr std::int64_t kRows = 128;  // of a tile
  // The dropout pattern belongs to whole tiles of one head's queries.
  if (args.batch_invariant || args.dropout.probability != 0 || ops::given(args.probabilities)) return 1;
  const std::int64_t length = mean_queries(layout, arguments);
  if (arguments.kv_heads == 0 || length == 0) return 1;
  const int group = arguments.heads / arguments.kv_heads;
  const auto filling = static_cast<int>(std::bit_floor(static_cast<std::uint64_t>(kRows / length)));
  const int packed = std::min({group & -group, std::max(filling, 8), 64});

  const bool lengths_differ = layout.packed_q || layout.used_q;
  const bool keys_differ = args.causal || args.chunk != 0 || arguments.window_left != kNoWindow ||
                           arguments.window_right != kNoWindow;  // between the queries of a tile
  const auto rows = [&](int heads) {
    const std::int64_t queries = kRows / heads;
    return (length + queries - 1) / queries * queries;
  };
  const bool pays =
      length <= kFewQueries || lengths_differ || keys_differ || rows(1) - rows(packed) >= length / 16;
  return pays ? packed : 1;
}

AttentionProblem specialise(const Attention& args, const AttentionLayout& layout, const AttentionViews& views,
                            const AttentionArguments& arguments) {
  const auto& [out, q, k, v, lse] = views;
  AttentionProblem problem;
  problem.scalar = q.dtype;
  problem.head_dim = static_cast<int>(q.extent(q.extents.rank - 1));
  problem.head_dim_v = static_cast<int>(v.extent(v.extents.rank - 1));
  problem.packed_heads = packed_heads(args, layout, arguments);
  problem.alignment = static_cast<int>(ops::alignment(out, q, k, v));
  problem.bias = bias_of(args.bias);
  problem.causal = args.causal || args.window_right == 0;
  problem.window =
      arguments.window_left != kNoWindow || (arguments.window_right != kNoWindow && !problem.causal);
  problem.chunk = args.chunk != 0;
  problem.softcap = args.softcap != 0;
  problem.alibi = ops::given(args.alibi_slopes);
  problem.sinks = ops::given(args.sinks);
  constexpr float kSmallestScale = 1e-20f;  // kernels divide by scales above it
  problem.signed_scale = arguments.scale < kSmallestScale;
  problem.dropout = args.dropout.probability != 0;
  problem.probabilities = ops::given(args.probabilities);
  problem.varlen = layout.packed_q || layout.packed_k || layout.used_q || layout.used_k;
  problem.paged = layout.paged;
  problem.has_lse = lse.given();
  problem.sm90 = !args.portable && arguments.seqlen_k > 0 && problem.alignment == 16 &&
                 has_tensor_maps(views) && (!problem.paged || pages_fit(problem, arguments.page_size));
  constexpr float kMostBounded =
      64;  // 2^(64 log2(e)) leaves room for sums in f32, and bf16 has the same range
  problem.bounded = problem.sm90 && problem.softcap && args.softcap <= kMostBounded &&
                    problem.scalar == DType::bf16 && !problem.alibi &&
                    problem.bias == AttentionProblem::Bias::none && !problem.probabilities;
  // Wider heads and these features have one schedule for all lengths.
  const bool has_short_schedule = !(problem.window || problem.chunk || problem.signed_scale ||
                                    problem.dropout || problem.probabilities || problem.paged) &&
                                  problem.bias == AttentionProblem::Bias::none;
  problem.is_short = problem.sm90 && has_short_schedule && !args.batch_invariant &&
                     mean_queries(layout, arguments) <= most_short_queries(problem);
  return problem;
}

KernelKey AttentionProblem::key(int device) const {
  constexpr std::uint32_t kSm90 = kernel_id(kAttentionSm90), kPortable = kernel_id(kAttentionPortable);
  const auto at = [](auto value, int bit) { return static_cast<std::uint64_t>(value) << bit; };
  const std::uint64_t sizes = at(head_dim, 0) | at(head_dim_v, 16) | at(packed_heads, 32) |
                              at(alignment, 40) | at(scalar, 48) | at(bias, 56);
  const std::uint64_t features = at(causal, 0) | at(window, 1) | at(chunk, 2) | at(softcap, 3) |
                                 at(alibi, 4) | at(sinks, 5) | at(signed_scale, 6) | at(dropout, 7) |
                                 at(probabilities, 8) | at(varlen, 9) | at(paged, 10) | at(has_lse, 11) |
                                 at(is_short, 12) | at(bounded, 13);
  return {sm90 ? kSm90 : kPortable, device, {sizes, features}};
}

Request AttentionProblem::request(const char* kernel) const {
  Values problem{{"SCALAR", std::string(name_of(scalar))},
                 {"HEAD_DIM", std::int64_t{head_dim}},
                 {"HEAD_DIM_V", std::int64_t{head_dim_v}}};
  const auto add = [&](const char* name, bool feature) {
    if (feature) problem.emplace(name, true);
  };
  add("CAUSAL", causal);
  add("WINDOW", window);
  add("CHUNK", chunk);
  add("SOFTCAP", softcap);
  add("ALIBI", alibi);
  add("SINKS", sinks);
  add("SIGNED_SCALE", signed_scale);
  add("DROPOUT", dropout);
  add("PROBABILITIES", probabilities);
  add("VARLEN", varlen);
  add("PAGED", paged);
  add("HAS_LSE", has_lse);
  add("BOUNDED", bounded && kernel == std::string_view(kAttentionSm90));
  add("SHORT", is_short && kernel == std::string_view(kAttentionSm90));
  if (bias != Bias::none) problem.emplace("BIAS", std::string(name_of(bias)));
  if (packed_heads != 1) problem.emplace("PACKED_HEADS", std::int64_t{packed_heads});
  if (alignment != 16) problem.emplace("ALIGNMENT", std::int64_t{alignment});
  return {kernel, std::move(problem)};
}

}  // namespace sprue
