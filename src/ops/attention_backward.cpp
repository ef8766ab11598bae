// attention_backward: check → specialise → launch. The kernels are
// kernel_templates/attention/attention_backward_*.cu.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "driver/device.h"
#include "ops/attention_backward_problem.h"
#include "runtime/workspace.h"

namespace sprue {
namespace {

constexpr char kOp[] = "attention_backward";
constexpr BackwardStep kSteps[] = {BackwardStep::delta, BackwardStep::queries, BackwardStep::keys,
                                   BackwardStep::bias, BackwardStep::heads};

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

/// The parts of the workspace: where they start, and how much there is of all.
struct Layout {
  std::size_t slope_rows, bytes;
};
Layout workspace_of(const Call& call) {
  constexpr std::size_t kStatsBytes = 8, kAlignment = 256;
  const auto rows = static_cast<std::size_t>(call.rows);
  const std::size_t stats = (rows * kStatsBytes + kAlignment - 1) / kAlignment * kAlignment;
  return {stats, stats + (call.problem.slope_rows ? rows * sizeof(float) : 0)};
}

/// The number of blocks of a step, 0 if there is nothing to do; sets what the kernel must know of it.
unsigned count_blocks(BackwardStep step, const LaunchShape& launch, Call& call) {
  AttentionBackwardArguments& args = call.arguments;
  AttentionArguments& forward = args.forward;
  switch (step) {
    case BackwardStep::delta:
      return ops::grid_size(kOp, call.rows, launch.rows_per_block, 1);
    case BackwardStep::queries: {
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
      return ops::grid_size(kOp, blocks,
                            std::int64_t{forward.kv_heads} * launch.blocks_per_row *
                                (call.layout.packed_k ? 1 : forward.batch));
    }
    case BackwardStep::bias: {
      const std::int64_t row_tiles =
          call.problem.one_row ? 1 : (args.bias_q + launch.rows_per_block - 1) / launch.rows_per_block;
      const std::int64_t key_tiles = (args.bias_k + launch.keys_per_tile - 1) / launch.keys_per_tile;
      return ops::grid_size(kOp, row_tiles * key_tiles, std::int64_t{args.bias_batch} * args.bias_heads);
    }
    case BackwardStep::heads:
      return static_cast<unsigned>(forward.heads);
  }
  return 0;
}

}  // namespace

void attention_backward(Runtime& runtime, const AttentionBackward& args, Stream stream) {
  Call call(args, true);
  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();

  const LoadedKernel* kernels[std::size(kSteps)] = {};  // all of them before the first launch
  for (const BackwardStep step : kSteps) {
    if (!call.problem.needs(step)) continue;
    kernels[static_cast<int>(step)] =
        &impl.kernel(call.problem.key(step, device), stream, [&] { return call.problem.request(step); });
  }

  const Layout parts = workspace_of(call);
  SPRUE_CHECK(kOp, args.workspace == nullptr || args.workspace_bytes >= parts.bytes,
              "workspace must have at least {} bytes, but has {}", parts.bytes, args.workspace_bytes);
  std::optional<Workspace> own;
  if (args.workspace == nullptr) own.emplace(impl.options().allocator, parts.bytes, stream);
  auto* const workspace = static_cast<std::byte*>(own ? own->data() : args.workspace);
  call.arguments.stats = workspace;
  if (call.problem.slope_rows) {
    call.arguments.slope_rows = reinterpret_cast<float*>(workspace + parts.slope_rows);
  }

  for (const BackwardStep step : kSteps) {
    const LoadedKernel* const kernel = kernels[static_cast<int>(step)];
    if (kernel == nullptr) continue;
    const unsigned blocks = count_blocks(step, kernel->launch, call);
    if (blocks != 0) impl.launch(*kernel, blocks, stream, &call.arguments);
  }
}

KernelInfo prepare(Runtime& runtime, const AttentionBackward& args) {
  const Call call(args, false);
  const int device = driver::current_device();
  KernelInfo main;
  for (const BackwardStep step : kSteps) {
    if (!call.problem.needs(step)) continue;
    KernelInfo info = runtime.impl().prepare(call.problem.key(step, device), call.problem.request(step));
    if (step == BackwardStep::keys) main = std::move(info);
  }
  return main;
}

std::size_t attention_backward_workspace_bytes(Runtime&, const AttentionBackward& args) {
  return workspace_of(Call(args, false)).bytes;
}

}  // namespace sprue
