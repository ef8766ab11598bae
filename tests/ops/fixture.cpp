// The shared parts of the operators' GPU tests.
#include "ops/fixture.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <sstream>

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

KernelSpec spec_of(const std::string& text) {
  std::istringstream words(text);
  KernelSpec spec;
  words >> spec.kernel;
  Values* values = &spec.problem;
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) {
      values = &spec.schedule;  // "|"
      continue;
    }
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    const bool number = value.find_first_not_of("-0123456789") == std::string::npos;
    if (value == "true" || value == "false") {
      (*values)[name] = value == "true";
    } else if (number) {
      (*values)[name] = static_cast<std::int64_t>(std::stoll(value));
    } else {
      (*values)[name] = value;
    }
  }
  return spec;
}

std::int64_t tile_of(const std::string& spec) {
  return std::get<std::int64_t>(spec_of(spec).schedule.at("BLOCK_N"));
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

std::vector<Values> built_schedules(const std::string& kernel, const Values& problem, std::size_t most) {
  RuntimeImpl& impl = shared_runtime().impl();
  const codegen::Manifest& manifest = impl.manifest(kernel);
  const Architecture arch = impl.target(manifest, driver::device_info(driver::current_device()).architecture);
  const Values complete = codegen::complete_problem(manifest, problem);
  std::vector<Values> schedules = codegen::legal_schedules(manifest, complete, arch);
  if (schedules.size() > most) {
    for (std::size_t i = 0; i < most; ++i) schedules[i] = schedules[i * schedules.size() / most];
    schedules.resize(most);
  }
  in_parallel(schedules.size(), [&](std::size_t i) { impl.build({kernel, complete, schedules[i]}, arch); });
  return schedules;
}

}  // namespace sprue::test
