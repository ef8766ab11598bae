// sprue explain: which kernel and schedule a spec gets, and why; why two cache entries are two.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "codegen/tuned.h"
#include "command.h"
#include "commands/explain_diff.h"
#include "output.h"
#include "runtime/record.h"
#include "runtime/runtime_impl.h"
#include "spec_arguments.h"
#include "sprue/error.h"
#include "table.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

struct ExplainOptions {
  std::string kernel, arch;
  std::vector<std::string> values, diff;
  bool json = false;
};

struct Reason {
  std::string name, value, reason;
};

struct Explanation {
  Architecture device, arch;
  Source source;
  std::vector<Reason> problem, schedule;
  std::string defaults, tuned;  ///< The default row that holds; what became of the tuned rows.
  std::string cache;            ///< Where the kernel is, or what happens because it is nowhere.
};

std::string describe(const codegen::Manifest& manifest, const codegen::ScheduleRow& row) {
  std::string text =
      fmt::format("row {} of {}", &row - manifest.defaults.data() + 1, manifest.defaults.size());
  if (row.when) text += ", for " + row.when->text();
  if (!row.measured.empty()) text += "; measured: " + row.measured;
  return text;
}

std::string describe(const codegen::TunedRow& row) {
  std::string text = row.origin;
  if (!row.measured.device.empty()) {
    text += fmt::format("; measured: {:.1f} us, {}, {}", row.measured.median_us, row.measured.device,
                        row.measured.date);
  }
  return text;
}

/// The tuned row, unless the schedule that it gives is not legal here; `why` says what became of it.
const codegen::TunedRow* usable_row(const codegen::TunedTable& table, const codegen::Manifest& manifest,
                                    KernelSpec spec, const Values& given, const Architecture& arch,
                                    std::string& why) {
  const codegen::TunedRow* row = table.find(manifest.kernel, spec.problem, arch);
  if (row == nullptr) {
    why = "none fits this problem and architecture";
    return nullptr;
  }
  spec.schedule = given;
  spec.schedule.insert(row->schedule.begin(), row->schedule.end());
  spec.schedule.merge(codegen::default_schedule(manifest, spec.problem, arch));
  const std::string illegal = codegen::why_illegal(manifest, spec, arch);
  why = illegal.empty() ? describe(*row) : fmt::format("{} is not used: {}", describe(*row), illegal);
  return illegal.empty() ? row : nullptr;
}

std::string find_in_cache(RuntimeImpl& runtime, const Source& source, const Architecture& arch) {
  const Digest request = cache::request_digest(key_record(source, arch));
  const auto compiler = runtime.toolchain().identity();
  const auto found = compiler ? runtime.store().find({request, compiler->build_id})
                              : runtime.store().find_any_toolchain(request);
  if (found) {
    const std::string* nvrtc = find(found->entry.metadata, "nvrtc");
    return fmt::format("{}, in {}, compiled by NVRTC {}", found->entry.key.name(),
                       found->tier == cache::Tier::directory ? "the cache directory" : "a read-only cache",
                       nvrtc == nullptr ? "?" : *nvrtc);
  }
  if (!compiler) return "in no cache, and this machine has no NVRTC: a call fails; see `sprue doctor`";
  return fmt::format("in no cache: the first call compiles it with {}", compiler->path);
}

Explanation explain(RuntimeImpl& runtime, const ExplainOptions& options) {
  const codegen::Manifest& manifest = runtime.manifest(options.kernel);
  const Request request = parse_request(manifest, options.values);
  Explanation result;
  result.device = chosen_architecture(options.arch);
  result.arch = runtime.target(manifest, result.device);
  const KernelSpec spec = runtime.specify(request, result.arch);
  result.source = runtime.render(spec);

  const codegen::ScheduleRow& row = codegen::default_row(manifest, spec.problem, result.arch);
  const auto table = codegen::TunedTable::load(runtime.templates(), runtime.options().tuned);
  const codegen::TunedRow* tuned =
      usable_row(table, manifest, spec, request.schedule, result.arch, result.tuned);
  for (const auto& [name, value] : spec.problem) {
    result.problem.push_back({name, print(value), request.problem.contains(name) ? "given" : "default"});
  }
  for (const auto& [name, value] : spec.schedule) {
    const bool is_tuned = tuned != nullptr && tuned->schedule.contains(name);
    const char* reason = request.schedule.contains(name) ? "given" : is_tuned ? "tuned row" : "default row";
    result.schedule.push_back({name, print(value), reason});
  }
  result.defaults = describe(manifest, row);
  result.cache = find_in_cache(runtime, result.source, result.arch);
  return result;
}

std::string print_reasons(const char* title, const std::vector<Reason>& reasons) {
  Table table({{title}, {"value", Column::right}, {"because"}});
  for (const auto& [name, value, reason] : reasons) table.add({name, value, reason});
  return table.print(text_width()) + '\n';
}

ordered_json to_json(const std::vector<Reason>& reasons) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, value, reason] : reasons) json[name] = {{"value", value}, {"because", reason}};
  return json;
}

int run(const ExplainOptions& options) {
  if (!options.diff.empty()) {
    put(explain_diff(options.diff[0], options.diff[1]));
    return 0;
  }
  if (options.kernel.empty())
    throw ArgumentError("explain must be given a KERNEL with its parameters, or --diff A B");
  RuntimeImpl runtime(runtime_options());
  const Explanation e = explain(runtime, options);
  const LaunchShape& launch = e.source.launch;
  if (options.json) {
    put_json(ordered_json{{"kernel", options.kernel},
                          {"device", e.device.name()},
                          {"architecture", e.arch.name()},
                          {"problem", to_json(e.problem)},
                          {"schedule", to_json(e.schedule)},
                          {"default_row", e.defaults},
                          {"tuned_row", e.tuned},
                          {"threads", launch.threads},
                          {"shared_bytes", launch.shared_bytes},
                          {"rows_per_block", launch.rows_per_block},
                          {"cache", e.cache}});
    return 0;
  }
  put(fmt::format(
      "{} for {}{}\n\n", options.kernel, e.arch.name(),
      e.arch == e.device ? "" : fmt::format(", which is what a {} device gets", e.device.name())));
  put(print_reasons("problem", e.problem));
  put(print_reasons("schedule", e.schedule));
  Table rest({{"launch"},
              {fmt::format("{} threads, {} bytes of dynamic shared memory and {} rows per block",
                           launch.threads, launch.shared_bytes, launch.rows_per_block)}});
  rest.add({"default row", e.defaults});
  rest.add({"tuned row", e.tuned});
  rest.add({"cache", e.cache});
  put(rest.print(text_width()));
  return 0;
}

}  // namespace

void setup_explain(CLI::App& app) {
  CLI::App& command =
      add_command(app, "explain", "Say which schedule a kernel gets and why, or why two entries differ",
                  "  sprue explain rms_norm SCALAR=bf16 HIDDEN=4096 HAS_WEIGHT=true --arch sm_90\n"
                  "  sprue explain --diff 3f9a0c 81d2aa\n");
  const auto options = std::make_shared<ExplainOptions>();
  auto* kernel =
      command.add_option("KERNEL", options->kernel, "A kernel that `sprue list` names")->type_name("");
  command
      .add_option("PARAMETERS", options->values,
                  "NAME=VALUE ...: its problem, and its schedule where it should differ")
      ->type_name("");
  command.add_option("--arch", options->arch, "GPU architecture, such as sm_90; default: this machine's GPU")
      ->type_name("ARCH");
  command.add_option("--diff", options->diff, "Two entries: names as in `sprue cache ls`, or files")
      ->type_name("A B")
      ->expected(2)
      ->excludes(kernel);
  command.add_flag("--json", options->json, "Print JSON");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
