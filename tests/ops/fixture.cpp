// The shared parts of the operators' GPU tests.
#include "ops/fixture.h"

#include <fmt/format.h>
#include <stdlib.h>

namespace sprue::test {
namespace {

namespace fs = std::filesystem;

struct ScratchDirectory {
  fs::path path;
  ScratchDirectory() {
    std::string name = (fs::temp_directory_path() / "sprue-ops-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

}  // namespace

const fs::path& scratch_directory() {
  static const ScratchDirectory directory;
  return directory.path;
}

RuntimeOptions test_options() {
  RuntimeOptions options;
  const char* nvrtc = std::getenv("SPRUE_NVRTC");
  if (nvrtc != nullptr) options.nvrtc = nvrtc;
  options.cache_directory = scratch_directory() / "cache";
  return options;
}

Runtime& shared_runtime() {
  static Runtime* const runtime = new Runtime(test_options());
  return *runtime;
}

RuntimeOptions with_schedule(const std::string& kernel, const Values& problem, const Values& schedule) {
  static std::atomic<int> count = 0;
  const fs::path file = scratch_directory() / fmt::format("tuned-{}.json", count++);
  codegen::TunedRow row;
  row.kernel = kernel;
  row.problem = problem;
  row.schedule = schedule;
  codegen::write_tuned(file, {row});
  RuntimeOptions options = test_options();
  options.tuned = {file};
  return options;
}

std::vector<Values> built_schedules(const std::string& kernel, const Values& problem) {
  RuntimeImpl& impl = shared_runtime().impl();
  const codegen::Manifest& manifest = impl.manifest(kernel);
  const Architecture arch = impl.target(manifest, driver::device_info(driver::current_device()).architecture);
  const Values complete = codegen::complete_problem(manifest, problem);
  const std::vector<Values> schedules = codegen::legal_schedules(manifest, complete, arch);
  in_parallel(schedules.size(), [&](std::size_t i) { impl.build({kernel, complete, schedules[i]}, arch); });
  return schedules;
}

}  // namespace sprue::test
