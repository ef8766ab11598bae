#include "ops/attention_check.h"

#include <cmath>
#include <initializer_list>
#include <limits>

namespace sprue {
namespace {

constexpr char kOp[] = "attention";
constexpr std::int64_t kMaxExtent = std::numeric_limits<int>::max();
constexpr std::int64_t kMaxPositions = 1 << 30;  // positions and sums of two of them fit 32 bits
constexpr std::int64_t kAny = -1;

/// What the tensors must agree on. kAny where the host does not know: the device has the lengths.
struct Expected {
  std::int64_t batch, heads, seqlen_q, seqlen_k;
  const char* batch_source;
};

void check_tensor(const ops::View& view, DType dtype, int rank, const char* layout,
                  const ops::ViewRules& rules) {
  SPRUE_CHECK(kOp, view.extents.rank == rank, "{} must have {} dimensions {}, but has {}", view.name, rank,
              layout, view.extents.rank);
  SPRUE_CHECK(kOp, view.dtype == dtype, "{} must have the dtype of q, {}, but has {}", view.name,
              name_of(dtype), name_of(view.dtype));
  for (int i = 0; i + 1 < rank; ++i) {
    SPRUE_CHECK(kOp, view.extent(i) <= kMaxExtent, "{} must have extents below 2^31, but is {}", view.name,
                view.extents.print());
  }
  ops::check_view(kOp, view, rules);
}

void check_extent(const ops::View& view, int dimension, std::int64_t expected, const char* unit,
                  const char* meaning) {
  SPRUE_CHECK(kOp, view.extent(dimension) == expected || expected == kAny,
              "{} must have {} {}, {}, but has {}", view.name, expected, unit, meaning,
              view.extent(dimension));
}

void check_channels(const ops::View& view, std::int64_t most) {
  const std::int64_t channels = view.extent(view.extents.rank - 1);
  SPRUE_CHECK(kOp, channels >= 8 && channels <= most && channels % 8 == 0,
              "the last extent of {} must be a multiple of 8 from 8 to {}, but is {}", view.name, most,
              channels);
}

void check_rank(const ops::View& view, int rank, const char* layout) {
  SPRUE_CHECK(kOp, view.extents.rank == rank, "{} must have {} dimension{} {}, but has {}", view.name, rank,
              rank == 1 ? "" : "s", layout, view.extents.rank);
}

void check_dtype(const ops::View& view, DType dtype) {
  SPRUE_CHECK(kOp, view.dtype == dtype, "{} must have dtype {}, but has {}", view.name, name_of(dtype),
              name_of(view.dtype));
}

void check_numbers(const Attention& args) {
  SPRUE_CHECK(kOp, !std::isinf(args.scale), "scale must be finite, or NAN for 1 / sqrt(head_dim), but is {}",
              args.scale);
  SPRUE_CHECK(kOp, args.window_left >= -1, "window_left must be at least 0, or -1 for no limit, but is {}",
              args.window_left);
  SPRUE_CHECK(kOp, args.window_right >= -1, "window_right must be at least 0, or -1 for no limit, but is {}",
              args.window_right);
  SPRUE_CHECK(kOp, args.chunk >= 0, "chunk must be positive, or 0 for no limit, but is {}", args.chunk);
  SPRUE_CHECK(kOp, std::isfinite(args.softcap) && args.softcap >= 0,
              "softcap must be finite and positive, or 0 for none, but is {}", args.softcap);
  const float dropped = args.dropout.probability;
  SPRUE_CHECK(kOp, dropped >= 0 && dropped < 1,
              "dropout.probability must be at least 0 and below 1, but is {}", dropped);
}

/// i32, contiguous, `elements` of them.
void check_lengths(const ops::View& view, std::int64_t elements, const char* layout, const char* meaning,
                   bool with_data) {
  check_rank(view, 1, layout);
  check_dtype(view, DType::i32);
  check_extent(view, 0, elements, "elements", meaning);
  ops::check_view(kOp, view, {.with_data = with_data});
}

void check_sequences(const Attention& args, const AttentionLayout& layout, const Expected& expected,
                     bool with_data) {
  if (layout.packed_q) {
    check_lengths({"cu_seqlens_q", args.cu_seqlens_q}, kAny, "[batch + 1]", "", with_data);
  }
  if (layout.packed_k) {
    check_lengths({"cu_seqlens_k", args.cu_seqlens_k}, expected.batch + 1, "[batch + 1]",
                  "one more than the batch", with_data);
  }
  if (layout.used_q) {
    check_lengths({"seqused_q", args.seqused_q}, expected.batch, "[batch]", "one per sequence", with_data);
  }
  if (layout.used_k) {
    check_lengths({"seqused_k", args.seqused_k}, expected.batch, "[batch]", "one per sequence", with_data);
  }
  if (!layout.paged) return;
  const ops::View table("block_table", args.block_table);
  check_rank(table, 2, "[batch, max_pages]");
  check_dtype(table, DType::i32);
  check_extent(table, 0, expected.batch, "batches", expected.batch_source);
  ops::check_view(kOp, table, {.with_data = with_data});
  const std::int64_t page_size = args.k.extents.shape[1];
  SPRUE_CHECK(kOp, page_size >= 1, "k must have pages of at least 1 position, but has {}", page_size);
  SPRUE_CHECK(kOp, table.extent(1) <= kMaxPositions / page_size,
              "block_table must lead to at most 2^30 keys per sequence, but has {} pages of {}",
              table.extent(1), page_size);
}

void check_bias(const ops::View& bias, DType dtype, const Expected& expected, bool with_data) {
  check_rank(bias, 4, "[batch, heads, seqlen_q, seqlen_k]");
  SPRUE_CHECK(kOp, bias.dtype == DType::f32 || bias.dtype == dtype,
              "bias must have dtype f32 or that of q, {}, but has {}", name_of(dtype), name_of(bias.dtype));
  const auto check_or_one = [&](int dimension, std::int64_t extent, const char* unit, const char* meaning) {
    if (bias.extent(dimension) != 1) check_extent(bias, dimension, extent, unit, meaning);
  };
  check_or_one(0, expected.batch, "batches or 1", expected.batch_source);
  check_or_one(1, expected.heads, "heads or 1", "as q");
  check_or_one(2, expected.seqlen_q, "positions of queries or 1", "as q");
  check_extent(bias, 3, expected.seqlen_k, "positions of keys", "as k");
  ops::check_view(kOp, bias, {.with_data = with_data});
}

void check_slopes(const ops::View& slopes, const Expected& expected, bool with_data) {
  const int rank = slopes.extents.rank;
  SPRUE_CHECK(kOp, rank == 1 || rank == 2,
              "alibi_slopes must have 1 or 2 dimensions [heads] or [batch, heads], but has {}", rank);
  check_dtype(slopes, DType::f32);
  check_extent(slopes, rank - 1, expected.heads, "heads", "as q");
  if (rank == 2) check_extent(slopes, 0, expected.batch, "batches", expected.batch_source);
  ops::check_view(kOp, slopes, {.contiguous_rows = false, .with_data = with_data});
}

void check_sinks(const ops::View& sinks, const Expected& expected, bool with_data) {
  check_rank(sinks, 1, "[heads]");
  check_dtype(sinks, DType::f32);
  check_extent(sinks, 0, expected.heads, "heads", "as q");
  ops::check_view(kOp, sinks, {.contiguous_rows = false, .with_data = with_data});
}

void check_probabilities(const ops::View& probabilities, DType dtype, const Expected& expected,
                         bool with_data) {
  check_tensor(probabilities, dtype, 4, "[batch, heads, seqlen_q, seqlen_k]",
               {.output = true, .with_data = with_data});
  check_extent(probabilities, 0, expected.batch, "batches", expected.batch_source);
  check_extent(probabilities, 1, expected.heads, "heads", "as q");
  check_extent(probabilities, 2, expected.seqlen_q, "positions of queries", "as q");
  check_extent(probabilities, 3, expected.seqlen_k, "positions of keys", "as k");
}

void check_lse(const ops::View& lse, const AttentionLayout& layout, const ops::View& q,
               const Expected& expected, bool with_data) {
  check_rank(lse, layout.packed_q ? 2 : 3, layout.packed_q ? "[heads, total_q]" : "[batch, heads, seqlen_q]");
  check_dtype(lse, DType::f32);
  const int heads = layout.packed_q ? 0 : 1;
  if (!layout.packed_q) check_extent(lse, 0, expected.batch, "batches", "as q");
  check_extent(lse, heads, expected.heads, "heads", "as q");
  check_extent(lse, heads + 1, q.extent(heads), "positions", "as q");
  ops::check_view(kOp, lse, {.output = true, .contiguous_rows = false, .with_data = with_data});
}

/// What few calls have, and that no output overlaps it.
[[gnu::noinline]] void check_features(const Attention& args, const AttentionLayout& layout,
                                      const AttentionViews& views, const Expected& expected, bool with_data) {
  const auto& [out, q, k, v, lse] = views;
  const ops::View slopes("alibi_slopes", args.alibi_slopes), bias("bias", args.bias),
      sinks("sinks", args.sinks), probabilities("probabilities", args.probabilities);
  check_sequences(args, layout, expected, with_data);
  if (slopes.given()) check_slopes(slopes, expected, with_data);
  if (bias.given()) check_bias(bias, q.dtype, expected, with_data);
  if (sinks.given()) check_sinks(sinks, expected, with_data);
  if (probabilities.given()) check_probabilities(probabilities, q.dtype, expected, with_data);

  const ops::View inputs[] = {slopes,
                              bias,
                              sinks,
                              {"cu_seqlens_q", args.cu_seqlens_q},
                              {"cu_seqlens_k", args.cu_seqlens_k},
                              {"seqused_q", args.seqused_q},
                              {"seqused_k", args.seqused_k},
                              {"block_table", args.block_table}};
  for (const ops::View& input : inputs) {
    for (const ops::View* output : {&out, &lse, &probabilities}) ops::check_apart(kOp, *output, input);
  }
  for (const ops::View* other : {&q, &k, &v, &out, &lse}) ops::check_apart(kOp, probabilities, *other);
}

}  // namespace

void check(const Attention& args, const AttentionLayout& layout, const AttentionViews& views,
           bool with_data) {
  const auto& [out, q, k, v, lse] = views;
  SPRUE_CHECK(kOp, q.dtype == DType::f16 || q.dtype == DType::bf16,
              "q must have dtype f16 or bf16, but has {}", name_of(q.dtype));
  SPRUE_CHECK(
      kOp, !layout.paged || !layout.packed_k,
      "block_table must not be given with cu_seqlens_k: k and v are either paged or packed; the lengths "
      "of paged sequences are seqused_k");
  const int rank_q = layout.packed_q ? 3 : 4, rank_k = layout.packed_k ? 3 : 4;
  check_tensor(q, q.dtype, rank_q,
               layout.packed_q ? "[total_q, heads, head_dim]" : "[batch, seqlen_q, heads, head_dim]",
               {.with_data = with_data});
  check_tensor(k, q.dtype, rank_k,
               layout.packed_k ? "[total_k, kv_heads, head_dim]"
               : layout.paged  ? "[pages, page_size, kv_heads, head_dim]"
                               : "[batch, seqlen_k, kv_heads, head_dim]",
               {.with_data = with_data});
  check_tensor(v, q.dtype, rank_k,
               layout.packed_k ? "[total_k, kv_heads, head_dim_v]"
               : layout.paged  ? "[pages, page_size, kv_heads, head_dim_v]"
                               : "[batch, seqlen_k, kv_heads, head_dim_v]",
               {.with_data = with_data});
  check_tensor(out, q.dtype, rank_q,
               layout.packed_q ? "[total_q, heads, head_dim_v]" : "[batch, seqlen_q, heads, head_dim_v]",
               {.output = true, .with_data = with_data});
  check_channels(q, 256);
  check_channels(v, 512);

  // Dimensions of q and out, and of k and v: positions, heads, channels; the batch, if any, is before them.
  const int at_q = rank_q - 3, at_k = rank_k - 3;
  const std::int64_t heads = q.extent(at_q + 1), kv_heads = k.extent(at_k + 1);
  for (const ops::View* view : {&q, &k}) {
    const int positions = view->extents.rank - 3;
    SPRUE_CHECK(kOp, view->extent(positions) <= kMaxPositions,
                "{} must have at most 2^30 positions, but has {}", view->name, view->extent(positions));
  }
  const Expected expected{
      .batch = layout.packed_q ? args.cu_seqlens_q.extents.shape[0] - 1 : q.extent(0),
      .heads = heads,
      .seqlen_q = layout.packed_q ? kAny : q.extent(1),
      .seqlen_k = layout.packed_k || layout.paged ? kAny : k.extent(1),
      .batch_source = layout.packed_q ? "one fewer than the elements of cu_seqlens_q" : "as q"};
  SPRUE_CHECK(kOp, !layout.packed_q || (args.cu_seqlens_q.extents.rank == 1 && expected.batch >= 0),
              "cu_seqlens_q must have 1 dimension [batch + 1] of at least 1 element, but is {}",
              args.cu_seqlens_q.extents.print());
  check_extent(k, rank_k - 1, q.extent(rank_q - 1), "channels", "the last extent of q");
  if (!layout.packed_k) {
    check_extent(k, 0, layout.paged ? kAny : expected.batch, "batches", expected.batch_source);
    check_extent(v, 0, k.extent(0), layout.paged ? "pages" : "batches",
                 layout.paged ? "as k" : expected.batch_source);
  }
  check_extent(v, at_k, k.extent(at_k), "positions", "as k");
  check_extent(v, at_k + 1, kv_heads, "heads", "as k");
  if (!layout.packed_q) check_extent(out, 0, expected.batch, "batches", "as q");
  check_extent(out, at_q, q.extent(at_q), "positions", "as q");
  check_extent(out, at_q + 1, heads, "heads", "as q");
  check_extent(out, rank_q - 1, v.extent(rank_k - 1), "channels", "the last extent of v");
  SPRUE_CHECK(kOp, heads == 0 || (kv_heads > 0 && heads % kv_heads == 0),
              "the heads of k and v must divide the {} heads of q, but are {}", heads, kv_heads);
  check_numbers(args);
  for (const ops::View* input : {&q, &k, &v}) ops::check_apart(kOp, out, *input);
  if (lse.given()) {
    check_lse(lse, layout, q, expected, with_data);
    for (const ops::View* other : {&q, &k, &v, &out}) ops::check_apart(kOp, lse, *other);
  }
  const bool varlen = layout.packed_q || layout.packed_k || layout.used_q || layout.used_k;
  if (varlen || layout.paged || ops::given(args.alibi_slopes) || ops::given(args.bias) ||
      ops::given(args.sinks) || ops::given(args.probabilities)) {
    check_features(args, layout, views, expected, with_data);
  }
}

}  // namespace sprue
