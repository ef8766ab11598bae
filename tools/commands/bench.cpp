// sprue bench: how fast operators are, beside this machine's ceilings, and what Sprue itself costs on the
// host.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/cases.h"
#include "bench/host.h"
#include "bench/machine.h"
#include "bench/replay.h"
#include "bench/workload.h"
#include "command.h"
#include "driver/device.h"
#include "driver/driver.h"
#include "output.h"
#include "progress.h"
#include "table.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

struct BenchOptions {
  const Operator* op = nullptr;
  std::string file;
  std::vector<std::string> shapes;
  bool json = false;
};

struct HostOptions {
  std::string arch;
  bool json = false, child = false;
};

std::vector<Case> chosen_cases(const BenchOptions& options) {
  std::vector<Case> cases =
      options.file.empty() ? std::vector<Case>() : read_cases(*options.op, options.file);
  for (const std::string& text : options.shapes) cases.push_back(parse_case_text(*options.op, text));
  return cases.empty() ? default_cases(*options.op) : cases;
}

/// One line of the table.
struct Line {
  std::string shape, kernel;
  double median_us = 0, rate = 0, share = 0;  ///< `share` of the ceiling that limits the operator.
};

int run(const BenchOptions& options) {
  const std::vector<Case> cases = chosen_cases(options);
  const bool arithmetic = cases.front().flops != 0;
  Runtime runtime(runtime_options());
  const driver::StreamHandle stream;
  const double copy = copy_ceiling(runtime, stream);
  double mma[3] = {};  // by dtype; measured when first needed
  const auto ceiling = [&](const Workload& work) {
    if (work.flops == 0) return copy;
    double& measured = mma[static_cast<int>(work.dtype)];
    if (measured == 0) measured = mma_ceiling(runtime, stream, work.dtype);
    return measured;
  };

  std::vector<Line> results;
  {
    Progress progress("measured", cases.size());
    for (const Case& shape : cases) {
      const Workload work = make_workload(shape);
      Line result{.shape = shape.text, .kernel = work.prepare(runtime).spec};
      const double limit = ceiling(work);
      result.median_us =
          Replay(stream, [&](Stream s, int i) { work.launch(runtime, s, i % work.sets); }).median_us();
      result.rate =
          work.flops != 0 ? work.flops / result.median_us / 1e6 : work.bytes / result.median_us / 1e3;
      result.share = result.rate / limit;
      results.push_back(result);
      progress.step(result.shape);
    }
  }

  const Machine machine = this_machine(runtime);
  const char* const unit = arithmetic ? "TFLOPS" : "GB/s";
  if (options.json) {
    ordered_json json = machine.json();
    json["operator"] = options.op->name;
    json["ceilings"]["copy_gb_per_s"] = copy;
    for (const DType dtype : {DType::f16, DType::bf16}) {
      const double measured = mma[static_cast<int>(dtype)];
      if (measured != 0) json["ceilings"][fmt::format("mma_sync_{}_tflops", name_of(dtype))] = measured;
    }
    for (const Line& r : results) {
      json["results"].push_back({{"shape", r.shape},
                                 {"kernel", r.kernel},
                                 {"median_us", r.median_us},
                                 {arithmetic ? "tflops" : "gb_per_s", r.rate},
                                 {"share_of_ceiling", r.share}});
    }
    put_json(json);
    return 0;
  }
  Table table(
      {{"us", Column::right}, {unit, Column::right}, {"of ceiling", Column::right}, {options.op->name}});
  for (const Line& r : results) {
    table.add({fmt::format("{:.1f}", r.median_us), fmt::format("{:.1f}", r.rate),
               fmt::format("{:.1f} %", 100 * r.share), r.shape});
  }
  std::string text = machine.print() + "\n";
  text += fmt::format("copy ceiling      {:.0f} GB/s, 1 GiB from device to device, read + written\n", copy);
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const double measured = mma[static_cast<int>(dtype)];
    if (measured != 0)
      text += fmt::format("mma.sync ceiling  {:.0f} TFLOPS, {} on registers\n", measured, name_of(dtype));
  }
  put(text + "\n" + table.print(text_width()));
  return 0;
}

int run_host(const HostOptions& options) {
  const bool has_gpu = driver::available() && driver::device_count() > 0;
  std::string arch = options.arch;
  if (arch.empty()) arch = has_gpu ? driver::device_info(0).architecture.name() : "sm_90";
  if (options.child) {
    const WarmStart times = warm_start(runtime_options(), arch);
    put(fmt::format("{} {}\n", times.context_ms, times.ready_ms));
    return 0;
  }
  const std::vector<HostFigure> figures = host_figures(runtime_options(), arch);
  Runtime runtime(runtime_options());
  const Machine machine = this_machine(runtime);
  if (options.json) {
    ordered_json json = machine.json();
    for (const HostFigure& figure : figures) {
      json["results"].push_back(
          {{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}, {"what", figure.what}});
    }
    put_json(json);
    return 0;
  }
  Table table({{"figure"}, {"median", Column::right}, {"what"}});
  for (const HostFigure& figure : figures) {
    table.add({figure.name, fmt::format("{:.{}f} {}", figure.value, figure.value < 10 ? 2 : 1, figure.unit),
               figure.what});
  }
  put(machine.print() + "\n\n" + table.print(text_width()));
  return 0;
}

void add_operator(CLI::App& command, const Operator& op) {
  const auto options = std::make_shared<BenchOptions>();
  options->op = &op;
  CLI::App& on_op =
      add_command(command, op.name, op.summary,
                  fmt::format("  sprue bench {} --shape {}\nKeys of a shape, with their defaults:\n{}",
                              op.name, op.cases.front(), help(op.keys)));
  on_op.add_option("--shapes", options->file, "FILE such as {\"" + op.name + "\": [{...}, ...]}");
  on_op.add_option("--shape", options->shapes, "One shape, key=value,...; may be given several times");
  on_op.add_flag("--json", options->json, "Report as JSON");
  add_runtime_options(on_op);
  on_run(on_op, [options] { return run(*options); });
}

}  // namespace

void setup_bench(CLI::App& app) {
  CLI::App& command = add_command(
      app, "bench", "Measure an operator on this GPU, or Sprue on the host",
      "  sprue bench attention --shape seqlen=8192,heads=16,head_dim=128,causal=true\n"
      "  sprue bench rms_norm --shapes shapes.json --json\n"
      "  sprue bench host\n"
      "`sprue bench OPERATOR --help` lists the keys of its shapes. Times are medians by device events over\n"
      "replays of a CUDA graph, on random input. Attention counts 2 * pairs * (head_dim + head_dim_v)\n"
      "operations, where pairs are those of a query and a key that it sees (causal: about half), as a share "
      "of\n"
      "what a kernel of nothing but mma.sync reaches. Where memory is the limit every byte counts once, read "
      "or\n"
      "written, as a share of a copy of 1 GiB; tensors rotate so that none stays in L2.\n");
  command.require_subcommand(1);
  for (const Operator& op : operators()) add_operator(command, op);

  const auto host = std::make_shared<HostOptions>();
  CLI::App& on_host =
      add_command(command, "host", "Look-up, launch, compile, warm start; the most part without a GPU", "");
  on_host.add_option("--arch", host->arch, "Compile for this architecture (this GPU's, else sm_90)");
  on_host.add_flag("--json", host->json, "Report as JSON");
  on_host.add_flag("--child", host->child)->group("");
  add_runtime_options(on_host);
  on_run(on_host, [host] { return run_host(*host); });
}

}  // namespace sprue::tools
