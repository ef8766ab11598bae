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
    const auto flags = static_cast<std::uint64_t>(scalar) | std::uint64_t{causal} << 8 | std::uint64_t{has_lse} << 9 |
                       static_cast<std::uint64_t>(alignment) << 16;
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

void check_tensor(const char* name, const ConstTensor& tensor, DType dtype, const char* layout, bool output,
                  bool with_data) {
  SPRUE_CHECK(kOp, tensor.extents.rank == 4, "{} must have 4 dimensions {}, but has {}", name, layout,
              tensor.extents.rank);
  SPRUE_CHECK(kOp, tensor.dtype == dtype, "{} must have the dtype of q, {}, but has {}", name, name_of(dtype),
              name_of(tensor.dtype));
  for (const std::int64_t extent : tensor.extents.shape) {
    SPRUE_CHECK(kOp, extent <= std::numeric_limits<int>::max(), "{} must have extents below 2^31, but is {}", name,
                tensor.extents.print());
  }
  ops::check_view({.op = kOp, .name = name, .output = output, .with_data = with_data}, tensor);
}

void check_extent(const char* name, const ConstTensor& tensor, int dimension, std::int64_t expected, const char* unit,
                  const char* meaning) {
  SPRUE_CHECK(kOp, tensor.extents.shape[dimension] == expected, "{} must have {} {}, {}, but has {}", name, expected,
              unit, meaning, tensor.extents.shape[dimension]);
}

void check_head_dim(const char* name, const ConstTensor& tensor) {
  const std::int64_t channels = tensor.extents.shape[3];
  SPRUE_CHECK(kOp, channels >= 8 && channels <= 256 && channels % 8 == 0,
              "the last extent of {} must be a multiple of 8 from 8 to 256, but is {}", name, channels);
}

void check(const Attention& args, bool with_data) {
  const auto& [out, q, k, v, lse, causal, scale] = args;
  SPRUE_CHECK(kOp, q.dtype == DType::f16 || q.dtype == DType::bf16, "q must have dtype f16 or bf16, but has {}",
              name_of(q.dtype));
  check_tensor("q", q, q.dtype, "[batch, seqlen_q, heads, head_dim]", false, with_data);
  check_tensor("k", k, q.dtype, "[batch, seqlen_k, kv_heads, head_dim]", false, with_data);
  check_tensor("v", v, q.dtype, "[batch, seqlen_k, kv_heads, head_dim_v]", false, with_data);
  check_tensor("out", out, q.dtype, "[batch, seqlen_q, heads, head_dim_v]", true, with_data);
  check_head_dim("q", q);
  check_head_dim("v", v);
  const auto& [batch, seqlen_q, heads, head_dim, unused4, unused5] = q.extents.shape;
  const std::int64_t kv_heads = k.extents.shape[2];
  check_extent("k", k, 3, head_dim, "channels", "the last extent of q");
  check_extent("k", k, 0, batch, "batches", "as q");
  check_extent("v", v, 0, batch, "batches", "as q");
  check_extent("v", v, 1, k.extents.shape[1], "positions", "as k");
  check_extent("v", v, 2, kv_heads, "heads", "as k");
  check_extent("out", out, 0, batch, "batches", "as q");
  check_extent("out", out, 1, seqlen_q, "positions", "as q");
  check_extent("out", out, 2, heads, "heads", "as q");
  check_extent("out", out, 3, v.extents.shape[3], "channels", "the last extent of v");
  SPRUE_CHECK(kOp, heads == 0 || (kv_heads > 0 && heads % kv_heads == 0),
              "the heads of k and v must divide the {} heads of q, but are {}", heads, kv_heads);
  SPRUE_CHECK(kOp, !std::isinf(scale), "scale must be finite, or NAN for 1 / sqrt(head_dim), but is {}", scale);
  ops::check_no_overlap(kOp, "out", out, "q", q, false);
  ops::check_no_overlap(kOp, "out", out, "k", k, false);
  ops::check_no_overlap(kOp, "out", out, "v", v, false);

  if (!lse.given() && lse.data == nullptr) return;
  SPRUE_CHECK(kOp, lse.extents.rank == 3, "lse must have 3 dimensions [batch, heads, seqlen_q], but has {}",
              lse.extents.rank);
  SPRUE_CHECK(kOp, lse.dtype == DType::f32, "lse must have dtype f32, but has {}", name_of(lse.dtype));
  check_extent("lse", lse, 0, batch, "batches", "as q");
  check_extent("lse", lse, 1, heads, "heads", "as q");
  check_extent("lse", lse, 2, seqlen_q, "positions", "as q");
  ops::check_view({.op = kOp, .name = "lse", .output = true, .rows = false, .with_data = with_data}, lse);
  ops::check_no_overlap(kOp, "lse", lse, "q", q, false);
  ops::check_no_overlap(kOp, "lse", lse, "k", k, false);
  ops::check_no_overlap(kOp, "lse", lse, "v", v, false);
  ops::check_no_overlap(kOp, "lse", lse, "out", out, false);
}

AttentionProblem specialise(const Attention& args) {
  ops::Alignment alignment;
  for (const ConstTensor& tensor : {ConstTensor(args.out), args.q, args.k, args.v}) alignment.meet(tensor);
  return {.scalar = args.q.dtype,
          .head_dim = args.q.extents.shape[3],
          .head_dim_v = args.v.extents.shape[3],
          .alignment = alignment.bytes(),
          .causal = args.causal,
          .has_lse = args.lse.given()};
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
  params.scale = std::isnan(args.scale) ? 1 / std::sqrt(static_cast<float>(args.q.extents.shape[3])) : args.scale;
  return params;
}

}  // namespace

void attention(Runtime& runtime, const Attention& args, Stream stream) {
  check(args, true);
  const AttentionParams params = parameters(args);
  if (params.batch == 0 || params.seqlen_q == 0 || params.heads == 0) return;
  const AttentionProblem problem = specialise(args);

  RuntimeImpl& impl = runtime.impl();
  const auto request = [&] { return problem.request(); };
  const LoadedKernel& kernel = impl.kernel(problem.key(driver::current_device()), stream, request);
  const std::int64_t sequences = std::int64_t{params.batch} * params.heads;
  const unsigned blocks = ops::grid_size(kOp, params.seqlen_q, kernel.launch.rows_per_block, sequences);
  impl.launch(kernel, blocks, stream, &params);
}

KernelInfo prepare(Runtime& runtime, const Attention& args) {
  check(args, false);
  const AttentionProblem problem = specialise(args);
  return runtime.impl().prepare(problem.key(driver::current_device()), problem.request());
}

}  // namespace sprue
