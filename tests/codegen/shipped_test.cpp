// Every kernel that ships renders with every default schedule on each of its architectures.
#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <set>
#include <string_view>

#include "codegen/manifest.h"
#include "codegen/prewarm_manifest.h"
#include "codegen/render.h"
#include "codegen/tuned.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/covering.h"

namespace sprue::codegen {
namespace {

/// All values where they are few, else the first and the last one.
std::vector<Value> sample_values(const Parameter& parameter) {
  if (parameter.values.empty()) return {parameter.minimum, parameter.maximum};
  if (parameter.values.size() <= 4) return parameter.values;
  return {parameter.values.front(), parameter.values.back()};
}

/// Whether problems may break a rule whatever the schedule is: those that tensors of a kind are needed for,
/// and of a kernel that others stand in for.
bool may_refuse(const Manifest& manifest) {
  constexpr std::string_view kKernels[] = {"attention_sm90", "attention_backward_sm90",
                                           "attention_backward_bias_sm90", "attention_backward_fused"};
  return std::ranges::find(kKernels, manifest.kernel) != std::end(kKernels);
}

/// Problems in which every two values of every two parameters meet, as far as they can be asked for together.
std::vector<Values> sample_problems(const Manifest& manifest) {
  std::vector<std::vector<Value>> values;
  std::vector<int> levels;
  for (const Parameter& parameter : manifest.problem) {
    values.push_back(sample_values(parameter));
    levels.push_back(static_cast<int>(values.back().size()));
  }
  levels.push_back(1);  // so that a parameter on its own meets something, too
  std::vector<Values> problems;
  for (const std::vector<int>& row : test::covering_array(levels)) {
    Values& problem = problems.emplace_back();
    for (std::size_t i = 0; i < values.size(); ++i) {
      problem[manifest.problem[i].name] = values[i][static_cast<std::size_t>(row[i])];
    }
  }
  const auto impossible = [&](const Values& problem) {
    try {
      complete_problem(manifest, problem);
      return false;
    } catch (const ArgumentError&) {
      return true;
    }
  };
  problems.erase(std::remove_if(problems.begin(), problems.end(), impossible), problems.end());
  CHECK(!problems.empty());
  return problems;
}

void check_clean(const std::string& text) {
  CHECK(text.find("//%") == std::string::npos);
  CHECK(text.find("${") == std::string::npos);
  CHECK(text.find("\n\n\n") == std::string::npos);
  CHECK(text.find("#pragma once") == std::string::npos);
  CHECK(text.find("#include") == std::string::npos);
}

}  // namespace

TEST_CASE("every shipped kernel renders with every default schedule on each of its architectures") {
  const TemplateStore store = TemplateStore::embedded();
  const std::vector<Manifest> shipped = manifests(store);
  CHECK(shipped.size() >= 2);
  for (const Manifest& manifest : shipped) {
    std::set<std::string> rendered;  // by spec: architectures often share one
    for (const std::string& name : manifest.architectures) {
      const Architecture arch = architecture(name);
      for (const Values& problem : sample_problems(manifest)) {
        INFO(manifest.kernel << " " << name << " " << print(problem));
        const KernelSpec chosen{manifest.kernel, problem, default_schedule(manifest, problem, arch)};
        if (!may_refuse(manifest) || !legal_schedules(manifest, problem, arch).empty())
          CHECK(why_illegal(manifest, chosen, arch) == "");
        for (const ScheduleRow& row : manifest.defaults) {
          const KernelSpec spec{manifest.kernel, problem, row.schedule};
          if (!rendered.insert(print(spec)).second || !why_illegal(manifest, spec, arch).empty()) continue;
          const Source source = render(store, manifest, spec);
          check_clean(source.text);
          CHECK(source.launch.threads <= 1024);
          const bool waits = source.text.find("  wait_for_kernel_ahead();") != std::string::npos;
          CHECK(source.launch.programmatic == waits);
          CHECK(source.text.find(" " + manifest.kernel + "(") != std::string::npos);
        }
      }
    }
    CHECK(!rendered.empty());
  }
}

TEST_CASE("the default schedule is one of the legal ones") {
  for (const Manifest& manifest : manifests(TemplateStore::embedded())) {
    const Architecture arch = architecture(manifest.architectures.back());
    for (const Values& problem : sample_problems(manifest)) {
      INFO(manifest.kernel << " " << print(problem));
      const std::vector<Values> legal = legal_schedules(manifest, problem, arch);
      if (legal.empty() && may_refuse(manifest)) continue;
      CHECK(std::count(legal.begin(), legal.end(), default_schedule(manifest, problem, arch)) == 1);
    }
  }
}

TEST_CASE("the default schedule of any problem is legal, on any architecture") {
  std::mt19937 random(20261126);
  // Most often the plainest value: schedules of few features have the narrowest conditions.
  const auto any = [&](const Parameter& parameter) -> Value {
    if (parameter.fallback && random() % 4 != 0) return *parameter.fallback;
    if (!parameter.values.empty()) return parameter.values[random() % parameter.values.size()];
    const auto ends = [](const Value& value) {
      return std::log2(static_cast<double>(std::get<std::int64_t>(value)));
    };
    std::uniform_real_distribution<double> exponent(ends(parameter.minimum), ends(parameter.maximum));
    const auto integer = static_cast<std::int64_t>(std::exp2(exponent(random)));
    const bool rounded = parameter.name.starts_with("MOST_") || random() % 2 == 0;
    return !rounded ? integer
                    : static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(integer)));
  };
  for (const Manifest& manifest : manifests(TemplateStore::embedded())) {
    int possible = 0;
    for (int i = 0; i < 30000; ++i) {
      Values problem;
      for (const Parameter& parameter : manifest.problem) problem[parameter.name] = any(parameter);
      const auto& architectures = manifest.architectures;
      const bool hopper =
          random() % 2 == 0 && std::count(architectures.begin(), architectures.end(), "sm_90") != 0;
      const Architecture arch =
          architecture(hopper ? "sm_90" : architectures[random() % architectures.size()]);
      try {
        problem = complete_problem(manifest, problem);
      } catch (const ArgumentError&) {
        continue;
      }
      const KernelSpec spec{manifest.kernel, problem, default_schedule(manifest, problem, arch)};
      // What breaks a rule whatever the schedule is cannot be asked for.
      if (why_illegal(manifest, spec, arch).empty() || legal_schedules(manifest, problem, arch).empty()) {
        ++possible;
        continue;
      }
      INFO(manifest.kernel << " " << arch.name() << " " << print(problem));
      CHECK(why_illegal(manifest, spec, arch) == "");
    }
    CHECK(possible > 0);
  }
}

TEST_CASE("shipped prewarm manifests and tuned schedules name kernels and values that exist") {
  const TemplateStore store = TemplateStore::embedded();
  const auto check = [&](const std::string& path, const std::string& kernel, const Values& problem,
                         const Values& schedule, const std::vector<std::string>& architectures) {
    const Manifest found = manifest(store, kernel);
    for (const std::string& name : architectures.empty() ? found.architectures : architectures) {
      INFO(path << ": " << kernel << " " << print(problem) << " on " << name);
      CHECK_NOTHROW(complete_spec(found, problem, schedule, architecture(name)));
    }
  };
  for (const std::string& path : store.paths()) {
    if (path == "prewarm.json") {
      for (const PrewarmEntry& entry : parse_prewarm(path, *store.find(path))) {
        check(path, entry.kernel, entry.problem, entry.schedule, entry.architectures);
      }
    } else if (path.compare(0, 6, "tuned/") == 0) {
      for (const TunedRow& row : parse_tuned(path, *store.find(path))) {
        for (Values problem : sample_problems(manifest(store, row.kernel))) {
          for (const auto& [name, value] : row.problem) problem[name] = value;
          check(path, row.kernel, problem, row.schedule, row.architectures);
        }
      }
    }
  }
}

}  // namespace sprue::codegen
