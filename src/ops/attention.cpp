// attention: check → specialise → launch. The kernels are kernel_templates/attention/attention_portable.cu
// and, where the device and the tensors allow it, attention_sm90.cu.
#include <algorithm>

#include "driver/device.h"
#include "ops/attention_arguments.h"
#include "ops/attention_check.h"
#include "ops/attention_problem.h"
#include "ops/attention_sm90.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops.h"

namespace sprue {
namespace {

constexpr char kOp[] = "attention";

/// The kernel of a key is chosen once, when it is loaded.
Request choose(const RuntimeImpl& impl, const AttentionProblem& problem, int device) {
  if (problem.sm90) {
    const Request request = problem.request(kAttentionSm90);
    if (impl.admits(request, driver::device_info(device).architecture)) return request;
  }
  return problem.request(kAttentionPortable);
}

/// Sets how many tiles of rows a head has, and returns how many tiles the launch has.
unsigned count_tiles(const AttentionLayout& layout, const AttentionProblem& problem,
                     const LaunchShape& launch, AttentionArguments& arguments) {
  const std::int64_t row_blocks = blocks_of(std::int64_t{arguments.seqlen_q} * problem.packed_heads,
                                            launch.rows_per_block, layout.packed_q, arguments.batch);
  const std::int64_t heads =
      std::int64_t{arguments.heads / problem.packed_heads} * (layout.packed_q ? 1 : arguments.batch);
  const unsigned tiles = ops::grid_size(kOp, row_blocks, heads * launch.blocks_per_row);
  arguments.row_blocks = static_cast<int>(row_blocks);
  return tiles;
}

}  // namespace

void attention(Runtime& runtime, const Attention& args, Stream stream) {
  const AttentionLayout layout(args);
  const AttentionViews views(args);
  check(args, layout, views, true);
  AttentionArguments arguments = attention_arguments(args, layout);
  if (arguments.batch == 0 || arguments.seqlen_q == 0 || arguments.heads == 0) return;
  const AttentionProblem problem = specialise(args, layout, views, arguments);

  RuntimeImpl& impl = runtime.impl();
  const int device = driver::current_device();
  const LoadedKernel& kernel =
      impl.kernel(problem.key(device), stream, [&] { return choose(impl, problem, device); });
  const unsigned tiles = count_tiles(layout, problem, kernel.launch, arguments);
  if (kernel.id == kernel_id(kAttentionSm90)) {
    std::uint32_t* const counter =
        tiles_differ(problem) ? impl.tile_counters().take(device, stream) : nullptr;
    const AttentionSm90Params params = sm90_params(args, layout, problem, arguments, kernel, counter);
    impl.launch(kernel, std::min(tiles, static_cast<unsigned>(kernel.multiprocessors)), stream, &params);
  } else {
    impl.launch(kernel, tiles, stream, &arguments);
  }
}

KernelInfo prepare(Runtime& runtime, const Attention& args) {
  const AttentionLayout layout(args);
  const AttentionViews views(args);
  check(args, layout, views, false);
  const AttentionProblem problem = specialise(args, layout, views, attention_arguments(args, layout));
  const int device = driver::current_device();
  RuntimeImpl& impl = runtime.impl();
  const Request request = choose(impl, problem, device);
  if (request.kernel == kAttentionSm90 && tiles_differ(problem)) impl.tile_counters().reserve(device);
  return impl.prepare(problem.key(device), request);
}

}  // namespace sprue
