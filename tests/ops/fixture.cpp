// The shared parts of the operators' GPU tests.
#include "ops/fixture.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <iterator>
#include <set>
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

/// Two parameters of a schedule and their values.
std::set<std::string> pairs_of(const Values& schedule) {
  std::set<std::string> pairs;
  for (auto a = schedule.begin(); a != schedule.end(); ++a) {
    for (auto b = std::next(a); b != schedule.end(); ++b) {
      pairs.insert(fmt::format("{}={} {}={}", a->first, print(a->second), b->first, print(b->second)));
    }
  }
  return pairs;
}

/// `count` of them, each of which has as many pairs of values as possible that those before it lack.
std::vector<Values> spread(const std::vector<Values>& all, std::size_t count) {
  std::vector<std::set<std::string>> pairs;
  for (const Values& schedule : all) pairs.push_back(pairs_of(schedule));
  std::set<std::string> met;
  std::vector<Values> chosen;
  while (chosen.size() < count) {
    std::size_t best = 0;
    std::ptrdiff_t most = -1;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto fresh = std::count_if(pairs[i].begin(), pairs[i].end(),
                                       [&](const std::string& pair) { return !met.contains(pair); });
      if (fresh > most) best = i, most = fresh;
    }
    if (most == 0) break;  // all have been met
    chosen.push_back(all[best]);
    met.insert(pairs[best].begin(), pairs[best].end());
  }
  return chosen;
}

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

std::vector<Values> schedules_of(const std::string& kernel, const Values& problem, std::size_t most) {
  RuntimeImpl& impl = shared_runtime().impl();
  const codegen::Manifest& manifest = impl.manifest(kernel);
  const Architecture arch = impl.target(manifest, driver::device_info(driver::current_device()).architecture);
  const std::vector<Values> all =
      codegen::legal_schedules(manifest, codegen::complete_problem(manifest, problem), arch);
  return all.size() <= most ? all : spread(all, most);
}

void build_all(const std::vector<KernelSpec>& specs) {
  RuntimeImpl& impl = shared_runtime().impl();
  const Architecture device = driver::device_info(driver::current_device()).architecture;
  in_parallel(specs.size(), [&](std::size_t i) {
    const codegen::Manifest& manifest = impl.manifest(specs[i].kernel);
    const Values problem = codegen::complete_problem(manifest, specs[i].problem);
    impl.build({specs[i].kernel, problem, specs[i].schedule}, impl.target(manifest, device));
  });
}

std::vector<Values> built_schedules(const std::string& kernel, const Values& problem, std::size_t most) {
  const std::vector<Values> schedules = schedules_of(kernel, problem, most);
  std::vector<KernelSpec> specs;
  for (const Values& schedule : schedules) specs.push_back({kernel, problem, schedule});
  build_all(specs);
  return schedules;
}

}  // namespace sprue::test
