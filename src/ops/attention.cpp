// attention: check → specialise → launch. The kernel is kernel_templates/attention/attention_portable.cu.
#include <algorithm>
#include <cmath>
#include <limits>

#include "driver/device.h"
#include "ops/check.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops.h"

namespace sprue {
namespace {

constexpr char kOp[] = "attention";
constexpr char kKernel[] = "attention_portable";
constexpr std::int64_t kMaxExtent = std::numeric_limits<int>::max();

/// The kernel's one argument, as the template declares it. Strides in elements.
struct AttentionParams {
  const void *q, *k, *v;
  void* out;
  float* lse;
  long long q_stride[3], k_stride[3], v_stride[3], out_stride[3];  // batch, sequence, head
  long long lse_stride[3];                                         // batch, head, sequence
  int batch, heads, kv_heads, seqlen_q, seqlen_k;
  float scale;
};

/// What the kernel is specialised for.
struct AttentionProblem {
  DType scalar;
  std::int64_t head_dim, head_dim_v, alignment;
  bool causal, has_lse;

  KernelKey key(int device) const {
    const auto flags = static_cast<std::uint64_t>(scalar) | std::uint64_t{causal} << 8 |
                       std::uint64_t{has_lse} << 9 | static_cast<std::uint64_t>(alignment) << 16;
    return {kernel_id(kKernel), device, {static_cast<std::uint64_t>(head_dim | head_dim_v << 32), flags}};
  }
  Request request() const {
    return {kKernel,
            {{"SCALAR", std::string(name_of(scalar))},
             {"HEAD_DIM", head_dim},
             {"HEAD_DIM_V", head_dim_v},
             {"CAUSAL", causal},
             {"HAS_LSE", has_lse},
             {"ALIGNMENT", alignment}}};
  }
};

struct Views {
  explicit Views(const Attention& args)
      : out("out", args.out), q("q", args.q), k("k", args.k), v("v", args.v), lse("lse", args.lse) {}
  ops::View out, q, k, v, lse;
};

void check_tensor(const ops::View& view, DType dtype, const char* layout, const ops::ViewRules& rules) {
  SPRUE_CHECK(kOp, view.extents.rank == 4, "{} must have 4 dimensions {}, but has {}", view.name, layout,
              view.extents.rank);
  SPRUE_CHECK(kOp, view.dtype == dtype, "{} must have the dtype of q, {}, but has {}", view.name,
              name_of(dtype), name_of(view.dtype));
  SPRUE_CHECK(kOp, std::max({view.extent(0), view.extent(1), view.extent(2)}) <= kMaxExtent,
              "{} must have extents below 2^31, but is {}", view.name, view.extents.print());
  ops::check_view(kOp, view, rules);
}

void check_extent(const ops::View& view, int dimension, std::int64_t expected, const char* unit,
                  const char* meaning) {
  SPRUE_CHECK(kOp, view.extent(dimension) == expected, "{} must have {} {}, {}, but has {}", view.name,
              expected, unit, meaning, view.extent(dimension));
}

void check_channels(const ops::View& view) {
  const std::int64_t channels = view.extent(3);
  SPRUE_CHECK(kOp, channels >= 8 && channels <= 256 && channels % 8 == 0,
              "the last extent of {} must be a multiple of 8 from 8 to 256, but is {}", view.name, channels);
}

void check(const Views& views, float scale, bool with_data) {
  const auto& [out, q, k, v, lse] = views;
  SPRUE_CHECK(kOp, q.dtype == DType::f16 || q.dtype == DType::bf16,
              "q must have dtype f16 or bf16, but has {}", name_of(q.dtype));
  check_tensor(q, q.dtype, "[batch, seqlen_q, heads, head_dim]", {.with_data = with_data});
  check_tensor(k, q.dtype, "[batch, seqlen_k, kv_heads, head_dim]", {.with_data = with_data});
  check_tensor(v, q.dtype, "[batch, seqlen_k, kv_heads, head_dim_v]", {.with_data = with_data});
  check_tensor(out, q.dtype, "[batch, seqlen_q, heads, head_dim_v]",
               {.output = true, .with_data = with_data});
  check_channels(q);
  check_channels(v);
  const std::int64_t batch = q.extent(0), seqlen_q = q.extent(1), heads = q.extent(2), kv_heads = k.extent(2);
  check_extent(k, 3, q.extent(3), "channels", "the last extent of q");
  check_extent(k, 0, batch, "batches", "as q");
  check_extent(v, 0, batch, "batches", "as q");
  check_extent(v, 1, k.extent(1), "positions", "as k");
  check_extent(v, 2, kv_heads, "heads", "as k");
  check_extent(out, 0, batch, "batches", "as q");
  check_extent(out, 1, seqlen_q, "positions", "as q");
  check_extent(out, 2, heads, "heads", "as q");
  check_extent(out, 3, v.extent(3), "channels", "the last extent of v");
  SPRUE_CHECK(kOp, heads == 0 || (kv_heads > 0 && heads % kv_heads == 0),
              "the heads of k and v must divide the {} heads of q, but are {}", heads, kv_heads);
  SPRUE_CHECK(kOp, !std::isinf(scale), "scale must be finite, or NAN for 1 / sqrt(head_dim), but is {}",
              scale);
  for (const ops::View* input : {&q, &k, &v}) ops::check_apart(kOp, out, *input);

  if (!lse.given()) return;
  SPRUE_CHECK(kOp, lse.extents.rank == 3, "lse must have 3 dimensions [batch, heads, seqlen_q], but has {}",
              lse.extents.rank);
  SPRUE_CHECK(kOp, lse.dtype == DType::f32, "lse must have dtype f32, but has {}", name_of(lse.dtype));
  check_extent(lse, 0, batch, "batches", "as q");
  check_extent(lse, 1, heads, "heads", "as q");
  check_extent(lse, 2, seqlen_q, "positions", "as q");
  ops::check_view(kOp, lse, {.output = true, .contiguous_rows = false, .with_data = with_data});
  for (const ops::View* other : {&q, &k, &v, &out}) ops::check_apart(kOp, lse, *other);
}

void check_supported(const Attention& args) {
  for (const ConstTensor* tensor :
       {&args.alibi_slopes, &args.bias, &args.sinks, &args.cu_seqlens_q, &args.cu_seqlens_k, &args.seqused_q,
        &args.seqused_k, &args.block_table}) {
    SPRUE_CHECK(kOp, !tensor->given(), "a tensor other than out, q, k, v and lse is not yet supported");
  }
  SPRUE_CHECK(kOp,
              args.window_left == -1 && args.window_right == -1 && args.chunk == 0 && args.softcap == 0 &&
                  args.dropout.probability == 0 && !args.probabilities.given(),
              "windows, chunks, softcap and dropout are not yet supported");
}

AttentionProblem specialise(const Views& views, bool causal) {
  const auto& [out, q, k, v, lse] = views;
  return {.scalar = q.dtype,
          .head_dim = q.extent(3),
          .head_dim_v = v.extent(3),
          .alignment = ops::alignment(out, q, k, v),
          .causal = causal,
          .has_lse = lse.given()};
}

AttentionParams parameters(const Attention& args) {
  AttentionParams params{};
  params.q = args.q.data;
  params.k = args.k.data;
  params.v = args.v.data;
  params.out = args.out.data;
  params.lse = static_cast<float*>(args.lse.data);
  std::copy_n(args.q.extents.stride.begin(), 3, params.q_stride);
  std::copy_n(args.k.extents.stride.begin(), 3, params.k_stride);
  std::copy_n(args.v.extents.stride.begin(), 3, params.v_stride);
  std::copy_n(args.out.extents.stride.begin(), 3, params.out_stride);
  std::copy_n(args.lse.extents.stride.begin(), 3, params.lse_stride);
  params.batch = static_cast<int>(args.q.extents.shape[0]);
  params.heads = static_cast<int>(args.q.extents.shape[2]);
  params.kv_heads = static_cast<int>(args.k.extents.shape[2]);
  params.seqlen_q = static_cast<int>(args.q.extents.shape[1]);
  params.seqlen_k = static_cast<int>(args.k.extents.shape[1]);
  params.scale =
      std::isnan(args.scale) ? 1 / std::sqrt(static_cast<float>(args.q.extents.shape[3])) : args.scale;
  return params;
}

}  // namespace

void attention(Runtime& runtime, const Attention& args, Stream stream) {
  const Views views(args);
  check_supported(args);
  check(views, args.scale, true);
  const AttentionParams params = parameters(args);
  if (params.batch == 0 || params.seqlen_q == 0 || params.heads == 0) return;
  const AttentionProblem problem = specialise(views, args.causal);

  RuntimeImpl& impl = runtime.impl();
  const auto request = [&] { return problem.request(); };
  const LoadedKernel& kernel = impl.kernel(problem.key(driver::current_device()), stream, request);
  const std::int64_t sequences = std::int64_t{params.batch} * params.heads;
  const unsigned blocks = ops::grid_size(kOp, params.seqlen_q, kernel.launch.rows_per_block, sequences);
  impl.launch(kernel, blocks, stream, &params);
}

KernelInfo prepare(Runtime& runtime, const Attention& args) {
  const Views views(args);
  check_supported(args);
  check(views, args.scale, false);
  const AttentionProblem problem = specialise(views, args.causal);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
