// sprue run rms_norm.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "bench/cases.h"
#include "commands/run_options.h"
#include "driver/stream.h"
#include "reference/compare.h"
#include "reference/rms_norm.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct RmsNormOptions : CommonRunOptions {
  std::string x, weight, y;
  bool no_weight = false;
  float eps = RmsNorm{}.eps;
};

int run_rms_norm(const RmsNormOptions& options) {
  std::optional<HostTensor> x_host, weight_host;
  if (options.is_random()) {
    const auto shape = parse_extents(options.random.empty() ? "4096x8192" : options.random, 2,
                                     "ROWSxHIDDEN, such as 4096x8192");
    const DType dtype = parse_dtype(options.dtype.empty() ? "bf16" : options.dtype);
    x_host = random_tensor(shape, dtype, options.seed);
    if (!options.no_weight) weight_host = random_tensor({shape[1]}, dtype, options.seed + 1);
  } else {
    x_host = read_input("--x", options.x, options);
    if (!options.weight.empty()) weight_host = read_input("--weight", options.weight, options);
  }
  if (x_host->shape.empty())
    throw ArgumentError("--x must have at least 1 dimension [..., hidden], but has 0");
  const Operand x(std::move(*x_host));
  std::optional<Operand> weight;
  if (weight_host) weight.emplace(std::move(*weight_host));
  Operand y(x.tensor().dtype, x.shape());
  RmsNorm args{.y = y.tensor(), .x = x.tensor(), .eps = options.eps};
  if (weight) args.weight = weight->tensor();

  Runtime runtime(runtime_options());
  RunReport report{.op = "rms_norm", .rate_unit = "GB/s", .kernel = prepare(runtime, args)};
  rms_norm(runtime, args);
  driver::synchronize(nullptr);

  const std::int64_t hidden = x.shape().back();
  const std::int64_t elements = args.x.extents.elements();
  const DType dtype = args.x.dtype;
  report.shape = describe(Case(RmsNormCase{elements / hidden, hidden, dtype, weight.has_value()}));
  if (options.check) {
    y.read_back();
    const auto xf = x.values(), wf = weight ? weight->values() : std::vector<float>();
    const reference::RmsNormInputs in{elements / hidden, hidden, xf, wf, options.eps};
    report.check =
        reference::compare(y.values(), reference::rms_norm(in), reference::naive_rms_norm(in, dtype));
  }
  write_output(y, options.y, report);
  report.median_us = median_us([&](Stream stream) { rms_norm(runtime, args, stream); });
  const auto bytes =
      static_cast<double>((2 * elements + (weight ? hidden : 0)) * static_cast<std::int64_t>(size_of(dtype)));
  report.rate = bytes / report.median_us / 1e3;
  return tell(report, options.json);
}

}  // namespace

void setup_run_rms_norm(CLI::App& run) {
  const auto norm = std::make_shared<RmsNormOptions>();
  CLI::App& command = add_command(run, "rms_norm", "x is [..., hidden], weight [hidden]", "");
  command.add_option("--x", norm->x, "FILE of the input");
  command.add_option("--weight", norm->weight, "FILE of the weight; without it there is no scaling");
  command.add_option("--out", norm->y, "FILE to write the output to");
  command.add_flag("--no-weight", norm->no_weight, "Random input without a weight");
  command.add_option("--eps", norm->eps, "Added to the mean square (1e-6)");
  add_common_options(command, *norm, "Random input instead of files: ROWSxHIDDEN (4096x8192)");
  on_run(command, [norm] { return run_rms_norm(*norm); });
}

}  // namespace sprue::tools
