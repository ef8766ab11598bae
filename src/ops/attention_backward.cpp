// attention_backward: check → specialise → launch. The kernels are
// kernel_templates/attention/attention_backward_*.cu; attention_backward_sm90 where the device and the
// tensors allow it, else attention_backward_fused where it may add up dq in any order.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "driver/device.h"
#include "driver/driver.h"
#include "ops/attention_backward_problem.h"
#include "ops/attention_backward_sm90.h"
#include "runtime/workspace.h"

namespace sprue {
namespace {

constexpr char kOp[] = "attention_backward";
constexpr BackwardStep kSteps[] = {BackwardStep::delta, BackwardStep::queries, BackwardStep::keys,
                                   BackwardStep::dq,    BackwardStep::bias,    BackwardStep::heads};

/// A call between its check and its launches.
struct Call {
  Call(const AttentionBackward& args, bool with_data) : layout(args.forward), views(args) {
    check(args, layout, views, with_data);
    arguments = attention_backward_arguments(args, layout);
    problem = specialise(args, layout, views, arguments);
    rows = count_rows(arguments, layout);
  }

  AttentionLayout layout;
  AttentionBackwardViews views;
  AttentionBackwardArguments arguments;
  AttentionBackwardProblem problem;
  std::int64_t rows;  ///< Of queries and heads.
};

/// Which kernel does a step is chosen once, when it is loaded.
Request choose(const RuntimeImpl& impl, const AttentionBackwardProblem& problem, BackwardStep step,
               int device) {
  const Architecture architecture = driver::device_info(device).architecture;
  if (problem.has_sm90(step)) {
    const Request request = problem.sm90_request(step);
    if (impl.admits(request, architecture)) return request;
  }
  if (step == BackwardStep::keys && problem.any_order) {
    const Request request = problem.fused_request();
    if (impl.admits(request, architecture)) return request;
  }
  return problem.request(step);
}

/// What a kernel that is not loaded would have.
LaunchShape launch_of(const RuntimeImpl& impl, const Request& request, int device) {
  const codegen::Manifest& manifest = impl.manifest(request.kernel);
  return codegen::launch_shape(
      manifest, impl.specify(request, impl.target(manifest, driver::device_info(device).architecture)));
}

/// Whether the kernel of `keys` adds up dq.
bool adds_dq(std::uint32_t kernel) {
  return kernel == kernel_id(kBackwardSm90) || kernel == kernel_id(kBackwardFused);
}

/// What the kernel of `keys` does for other steps.
void note_keys(std::uint32_t kernel, const LaunchShape& launch, AttentionBackwardProblem& problem) {
  problem.block_m = adds_dq(kernel) ? launch.columns_per_tile : 0;
  problem.dbias_by_keys = problem.dbias_by_keys && kernel == kernel_id(kBackwardSm90);
}

/// Loads the kernel of `keys`, and lets the problem know what it does.
const LoadedKernel& load_keys(RuntimeImpl& impl, AttentionBackwardProblem& problem, int device,
                              Stream stream) {
  const LoadedKernel& kernel = impl.kernel(problem.key(BackwardStep::keys, device), stream,
                                           [&] { return choose(impl, problem, BackwardStep::keys, device); });
  note_keys(kernel.id, kernel.launch, problem);
  return kernel;
}

/// The parts of the workspace: where they start, and how much there is of all.
struct Layout {
  std::size_t slope_rows, dq_sums, bytes;
  DqWorkspace dq;
};
Layout workspace_of(const Call& call) {
  constexpr std::size_t kStatsBytes = 8, kAlignment = 256;
  const auto aligned = [](std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; };
  const auto rows = static_cast<std::size_t>(call.rows);
  Layout layout{};
  layout.slope_rows = aligned(rows * kStatsBytes);
  layout.bytes = layout.slope_rows + (call.problem.slope_rows ? rows * sizeof(float) : 0);
  if (call.problem.block_m == 0) return layout;
  layout.dq_sums = aligned(layout.bytes);
  layout.dq = dq_workspace(call.problem, call.arguments, call.layout, call.problem.block_m);
  layout.bytes = layout.dq_sums + layout.dq.bytes;
  return layout;
}

Layout checked_workspace(const AttentionBackward& args, const Call& call) {
  const Layout layout = workspace_of(call);
  SPRUE_CHECK(kOp, args.workspace == nullptr || args.workspace_bytes >= layout.bytes,
              "workspace must have at least {} bytes, but has {}", layout.bytes, args.workspace_bytes);
  return layout;
}

/// Tells the kernels where they find the parts.
void place(const Layout& layout, std::byte* workspace, Call& call) {
  AttentionBackwardArguments& args = call.arguments;
  args.stats = workspace;
  if (call.problem.slope_rows) args.slope_rows = reinterpret_cast<float*>(workspace + layout.slope_rows);
  if (call.problem.block_m == 0) return;
  args.dq_sums = reinterpret_cast<float*>(workspace + layout.dq_sums);
  args.dq_marks = reinterpret_cast<std::uint32_t*>(workspace + layout.dq_sums + layout.dq.sums_bytes);
  args.dbias_marks = reinterpret_cast<std::uint32_t*>(workspace + layout.dq_sums + layout.dq.dbias_marks);
  args.dq_chunks = static_cast<long long>(layout.dq.bytes / 16);
}

/// How many tiles of a bias there are.
unsigned count_bias_tiles(const AttentionBackwardArguments& args, int queries, int keys, bool one_row) {
  const std::int64_t row_tiles = one_row ? 1 : (args.bias_q + queries - 1) / queries;
  const std::int64_t key_tiles = (args.bias_k + keys - 1) / keys;
  return ops::grid_size(kOp, row_tiles * key_tiles, std::int64_t{args.bias_batch} * args.bias_heads);
}

bool is_sm90(const LoadedKernel& kernel) {
  return kernel.id == kernel_id(kBackwardSm90) || kernel.id == kernel_id(kBackwardBiasSm90);
}

/// The number of blocks of a step, 0 if there is nothing to do; sets what the kernel must know of it.
unsigned count_blocks(BackwardStep step, const LoadedKernel& kernel, Call& call) {
  const LaunchShape& launch = kernel.launch;
  AttentionBackwardArguments& args = call.arguments;
  AttentionArguments& forward = args.forward;
  switch (step) {
    case BackwardStep::delta:
      return ops::grid_size(kOp, call.rows, launch.rows_per_block, 1);
    case BackwardStep::queries:
    case BackwardStep::dq: {
      const std::int64_t blocks =
          blocks_of(forward.seqlen_q, launch.rows_per_block, call.layout.packed_q, forward.batch);
      forward.row_blocks = static_cast<int>(blocks);
      return ops::grid_size(kOp, blocks,
                            std::int64_t{forward.heads} * (call.layout.packed_q ? 1 : forward.batch));
    }
    case BackwardStep::keys: {
      const std::int64_t blocks =
          blocks_of(forward.seqlen_k, launch.rows_per_block, call.layout.packed_k, forward.batch);
      args.key_blocks = static_cast<int>(blocks);
      if (call.problem.block_m != 0) {
        forward.row_blocks = static_cast<int>(
            blocks_of(forward.seqlen_q, launch.columns_per_tile, call.layout.packed_q, forward.batch));
      }
      return ops::grid_size(kOp, blocks,
                            std::int64_t{forward.kv_heads} * launch.blocks_per_row *
                                (call.layout.packed_k ? 1 : forward.batch));
    }
    case BackwardStep::bias: {
      if (is_sm90(kernel)) {  // its blocks take tiles in turn
        const unsigned tiles = count_bias_tiles(args, launch.columns_per_tile, launch.rows_per_block, false);
        return std::min(tiles, static_cast<unsigned>(kernel.groups_at_once));
      }
      return count_bias_tiles(args, launch.rows_per_block, launch.columns_per_tile, call.problem.one_row);
    }
    case BackwardStep::heads:
      return static_cast<unsigned>(forward.heads);
  }
  return 0;
}

}  // namespace

void attention_backward(Runtime& runtime, const AttentionBackward& args, Stream stream) {
  Call call(args, true);
  checked_workspace(args, call);  // as far as it is known without a device: of the portable kernels
  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();

  // All kernels are there, and all grids possible, before the first launch.
  const LoadedKernel* kernels[std::size(kSteps)] = {};
  const LoadedKernel& keys = load_keys(impl, call.problem, device, stream);
  const Layout parts = checked_workspace(args, call);
  for (std::size_t i = 0; i < std::size(kSteps); ++i) {
    const BackwardStep step = kSteps[i];
    if (!call.problem.needs(step)) continue;
    kernels[i] =
        step == BackwardStep::keys ? &keys : &impl.kernel(call.problem.key(step, device), stream, [&] {
          return choose(impl, call.problem, step, device);
        });
    count_blocks(step, *kernels[i], call);
  }

  std::optional<Workspace> own;
  if (args.workspace == nullptr) own.emplace(impl.options().allocator, parts.bytes, stream);
  place(parts, static_cast<std::byte*>(own ? own->data() : args.workspace), call);
  for (std::size_t i = 0; i < std::size(kSteps); ++i) {
    if (kernels[i] == nullptr) continue;
    const unsigned blocks =
        count_blocks(kSteps[i], *kernels[i], call);  // again: it sets what this kernel must know
    if (blocks == 0) continue;
    if (is_sm90(*kernels[i])) {
      const auto params = backward_sm90_params(call.problem, call.arguments, call.layout, *kernels[i]);
      impl.launch(*kernels[i], blocks, stream, &params);
    } else {
      impl.launch(*kernels[i], blocks, stream, &call.arguments);
    }
  }
}

KernelInfo prepare(Runtime& runtime, const AttentionBackward& args) {
  Call call(args, false);
  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();
  KernelInfo main = impl.prepare(call.problem.key(BackwardStep::keys, device),
                                 choose(impl, call.problem, BackwardStep::keys, device));
  load_keys(impl, call.problem, device, nullptr);
  for (const BackwardStep step : kSteps) {
    if (step != BackwardStep::keys && call.problem.needs(step))
      impl.prepare(call.problem.key(step, device), choose(impl, call.problem, step, device));
  }
  return main;
}

std::size_t attention_backward_workspace_bytes(Runtime& runtime, const AttentionBackward& args) {
  Call call(args, false);
  const RuntimeImpl& impl = runtime.impl();
  if ((call.problem.forward.sm90 || call.problem.any_order) && driver::available()) {
    const int device = driver::current_device();
    const Request request = choose(impl, call.problem, BackwardStep::keys, device);
    note_keys(kernel_id(request.kernel), launch_of(impl, request, device), call.problem);
  }
  return workspace_of(call).bytes;
}

}  // namespace sprue
