// sprue worker: builds kernels for `sprue prewarm`, which starts it; not listed in --help.
#include <filesystem>
#include <memory>
#include <utility>

#include "cache/directory.h"
#include "command.h"
#include "exit_codes.h"
#include "jobs.h"
#include "runtime/runtime_impl.h"
#include "workers.h"

namespace sprue::tools {
namespace {

JobResult build(RuntimeImpl& runtime, const Job& job, bool force, const std::function<bool()>& cancelled) {
  Built built = runtime.build(job.spec, job.arch, cancelled);
  const auto entry = cache::Key::from_name(built.entry_name);
  if (force && entry && built.origin != "compiled") {
    std::filesystem::remove(runtime.store().options().directory / cache::entry_file(*entry));
    built = runtime.build(job.spec, job.arch, cancelled);
  }
  return {.origin = built.origin,
          .entry_name = built.entry_name,
          .compile_ms = built.cubin.compile_ms,
          .resources = built.cubin.resources};
}

int run(bool force) {
  std::vector<std::string> log;  // goes with the answer, so that it does not break into the progress bar
  RuntimeOptions options = runtime_options([&log](const std::string& line) { log.push_back(line); });
  if (force) options.read_only_caches.clear();
  RuntimeImpl runtime(std::move(options));
  serve_jobs([&](const std::string& line, const std::function<bool()>& cancelled) {
    JobResult result;
    try {
      result = build(runtime, decode_job(line), force, cancelled);
    } catch (const std::exception& error) {
      result = {.error = error.what(), .exit_code = exit_code(error)};
    }
    result.log = std::exchange(log, {});
    return encode(result);
  });
  return 0;
}

}  // namespace

void setup_worker(CLI::App& app) {
  CLI::App& command = add_command(app, "worker", "Build kernels for `sprue prewarm`", "");
  command.group("");
  const auto force = std::make_shared<bool>(false);
  command.add_flag("--force", *force);
  on_run(command, [force] { return run(*force); });
}

}  // namespace sprue::tools
