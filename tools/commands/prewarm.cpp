// sprue prewarm: builds every kernel of a manifest into the cache, in worker processes, with no GPU.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <set>
#include <thread>

#include "cache/pack.h"
#include "codegen/prewarm_manifest.h"
#include "codegen/suggest.h"
#include "command.h"
#include "commands/prewarm_report.h"
#include "exit_codes.h"
#include "output.h"
#include "progress.h"
#include "runtime/runtime_impl.h"
#include "spec_arguments.h"
#include "workers.h"

namespace sprue::tools {
namespace {

struct PrewarmOptions {
  std::string manifest, pack;
  std::vector<std::string> architectures;
  std::size_t workers = 0;
  bool force = false, fail_on_spill = false, json = false;
};

std::vector<codegen::PrewarmEntry> read_manifest(const RuntimeImpl& runtime, const std::string& name) {
  if (name != "default") return codegen::parse_prewarm(name, read_file(name));
  const std::string* text = runtime.templates().find("prewarm.json");
  if (text == nullptr)
    throw TemplateError("prewarm.json", 0, 0, "the templates have no default prewarm manifest");
  return codegen::parse_prewarm("prewarm.json", *text);
}

/// Those of the command line, else those of the entry, else this machine's GPU.
std::vector<Architecture> architectures_for(const codegen::PrewarmEntry& entry,
                                            const std::vector<Architecture>& given) {
  if (!given.empty()) return given;
  if (!entry.architectures.empty()) return parse_architectures(entry.architectures);
  return {chosen_architecture("")};
}

/// A spec that cannot be rendered becomes an item that has failed already.
PrewarmItem plan_item(const RuntimeImpl& runtime, const codegen::PrewarmEntry& entry,
                      const Architecture& arch) {
  const codegen::Manifest& manifest = runtime.manifest(entry.kernel);
  PrewarmItem item{.job = {.spec = {entry.kernel, entry.problem, entry.schedule}, .arch = arch},
                   .problem = print_short(manifest, entry.problem)};
  if (!entry.schedule.empty()) item.problem += " | " + print(entry.schedule);
  try {
    item.job.spec = runtime.specify({entry.kernel, entry.problem, entry.schedule}, arch);
    const Source source = runtime.render(item.job.spec);
    item.shared_bytes = source.launch.shared_bytes;
    item.weight = source.text.size() + static_cast<std::size_t>(source.launch.shared_bytes);
  } catch (const Error& error) {
    item.result = JobResult{.error = error.what(), .exit_code = exit_code(error)};
  }
  return item;
}

PrewarmReport plan(const RuntimeImpl& runtime, const PrewarmOptions& options) {
  PrewarmReport report;
  std::set<std::string> planned, skipped;
  const std::vector<Architecture> given = parse_architectures(options.architectures);
  for (const codegen::PrewarmEntry& entry : read_manifest(runtime, options.manifest)) {
    const codegen::Manifest& manifest = runtime.manifest(entry.kernel);
    for (const Architecture& device : architectures_for(entry, given)) {
      try {
        PrewarmItem item = plan_item(runtime, entry, runtime.target(manifest, device));
        if (planned.insert(encode(item.job)).second) report.items.push_back(std::move(item));
      } catch (const ArgumentError&) {  // from target(): this kernel is for other architectures
        std::string remark = fmt::format("{} on {}: its architectures are {}", entry.kernel, device.name(),
                                         codegen::join(manifest.architectures));
        if (skipped.insert(remark).second) report.skipped.push_back(std::move(remark));
      }
    }
  }
  return report;
}

std::string outcome(const PrewarmItem& item) {
  const JobResult& result = *item.result;
  const std::string name = fmt::format("{} {} {}", item.job.arch.name(), item.job.spec.kernel, item.problem);
  if (!result.error.empty()) return name + ": failed";
  if (result.origin != "compiled") return name + ": cached";
  return fmt::format("{}: compiled in {:.0f} ms", name, result.compile_ms);
}

void build(PrewarmReport& report, const PrewarmOptions& options) {
  std::vector<std::size_t> order;  // heaviest first, so that no worker ends long after the others
  for (std::size_t i = 0; i < report.items.size(); ++i) {
    if (!report.items[i].result) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return report.items[a].weight > report.items[b].weight;
  });
  std::vector<std::string> jobs;
  for (const std::size_t i : order) jobs.push_back(encode(report.items[i].job));

  const auto start = std::chrono::steady_clock::now();
  report.workers = std::min(std::max<std::size_t>(options.workers, 1), std::max<std::size_t>(jobs.size(), 1));
  std::vector<std::string> arguments{"worker"};
  if (options.force) arguments.push_back("--force");
  Progress progress("prewarm", jobs.size());
  report.interrupted = !run_workers(jobs, report.workers, arguments, [&](const WorkerAnswer& answer) {
    PrewarmItem& item = report.items[order[answer.job]];
    item.result = answer.fate.empty()
                      ? decode_result(answer.line)
                      : JobResult{.error = "the worker process was " + answer.fate, .exit_code = kUnexpected};
    for (const std::string& line : item.result->log) progress.say(line);
    progress.step(outcome(item));
  });
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Every kernel that is there now, in one file.
void write_pack(RuntimeImpl& runtime, const PrewarmReport& report, const std::string& file) {
  std::vector<cache::Entry> entries;
  for (const PrewarmItem& item : report.items) {
    if (!item.result || !item.result->error.empty()) continue;
    const auto key = cache::Key::from_name(item.result->entry_name);
    auto found = key ? runtime.store().find(*key) : std::nullopt;
    if (!found) {
      throw CacheError(fmt::format("{} was built but is not in the cache {}; see `sprue doctor`",
                                   item.result->entry_name, runtime.store().options().directory.string()));
    }
    entries.push_back(std::move(found->entry));
  }
  const std::size_t count = entries.size();
  cache::write_pack(file, std::move(entries));
  remark(fmt::format("wrote {} kernels to {}, {}", count, file, size_text(std::filesystem::file_size(file))));
}

int run(const PrewarmOptions& options) {
  RuntimeImpl runtime(runtime_options());
  if (runtime.store().options().directory.empty()) {
    throw ArgumentError(
        "prewarm must have a cache directory to fill, but there is none; give --cache DIR and leave "
        "SPRUE_CACHE on");
  }
  PrewarmReport report = plan(runtime, options);
  build(report, options);
  put(options.json ? print_json(report) : print_table(report, text_width()));
  if (report.interrupted) {
    remark("interrupted; the same command goes on where this one stopped");
    return kInterrupted;
  }
  if (!options.pack.empty()) write_pack(runtime, report, options.pack);
  if (const int code = report.failure()) return code;
  if (options.fail_on_spill && report.any_spill()) {
    remark("sprue: error: a kernel spills registers or has a performance advisory, see above");
    return kCheckFailed;
  }
  return kOk;
}

}  // namespace

void setup_prewarm(CLI::App& app) {
  CLI::App& command = add_command(
      app, "prewarm", "Build every kernel of a manifest into the cache; needs no GPU",
      "  sprue prewarm default --arch sm_80,sm_90\n"
      "  sprue prewarm recorded.json --arch sm_90a -j 8 --pack kernels.pack\n"
      "  sprue prewarm kernels.json --cache /srv/kernels --fail-on-spill --json\n"
      "A manifest is {\"kernels\": [{\"kernel\": \"rms_norm\", \"problem\": {\"HIDDEN\": [4096, 8192], "
      "...}}]},\n"
      "where a list stands for each of its values; `sprue record` writes one. Kernels that are in the cache\n"
      "already are not built again, so an interrupted prewarm resumes.\n");
  const auto options = std::make_shared<PrewarmOptions>();
  options->workers = std::max(1u, std::thread::hardware_concurrency());
  command.add_option("MANIFEST", options->manifest, "JSON file of kernels; default: the one that ships")
      ->type_name("")
      ->required();
  command
      .add_option(
          "--arch", options->architectures,
          "GPU architectures, such as sm_80,sm_90a; default: those that the manifest names, else this GPU")
      ->type_name("ARCH");
  command.add_option("-j,--jobs", options->workers, "Worker processes; default: one per processor")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--pack", options->pack,
                  "Also write all of these kernels to one FILE, for SPRUE_CACHE_READONLY")
      ->type_name("FILE");
  command.add_flag("--force", options->force, "Build again what is in the cache");
  command.add_flag("--fail-on-spill", options->fail_on_spill,
                   "Exit code 8 if a kernel spills or has a ptxas performance advisory");
  command.add_flag("--json", options->json, "Print JSON");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
