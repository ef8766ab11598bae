// Which specs a manifest allows: completing them, checking them, and listing every legal schedule.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "codegen/manifest.h"
#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxCandidates = 1 << 20;  // partial schedules that legal_schedules may look at

[[noreturn]] void refuse(const Manifest& manifest, const std::string& message) {
  throw ArgumentError(fmt::format("[{}] {}", manifest.kernel, message));
}

/// What is wrong with the values of `parameters`; empty when they are complete and legal.
std::string why_illegal_values(std::string_view kind, const std::vector<Parameter>& parameters,
                               const Values& values) {
  std::vector<std::string> known, missing;
  for (const Parameter& parameter : parameters) {
    known.push_back(parameter.name);
    if (!values.contains(parameter.name)) missing.push_back(parameter.name);
  }
  for (const auto& [name, value] : values) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fmt::format("{} is no {} parameter{}; the {} parameters are {}", name, kind,
                         did_you_mean(name, known), kind, known.empty() ? "none" : join(known));
    }
  }
  if (!missing.empty()) {
    return fmt::format("the {} must name every parameter without a default, but lacks {}", kind,
                       join(missing));
  }
  for (const Parameter& parameter : parameters) {
    const Value& value = values.find(parameter.name)->second;
    if (!parameter.admits(value)) {
      return fmt::format("{} must be {}, but is {}", parameter.name, parameter.legal_values(), print(value));
    }
  }
  return "";
}

Values with_fallbacks(const std::vector<Parameter>& parameters, Values values) {
  for (const Parameter& parameter : parameters) {
    if (parameter.fallback) values.try_emplace(parameter.name, *parameter.fallback);
  }
  return values;
}

Values all_values(const KernelSpec& spec) {
  Values values = spec.problem;
  values.insert(spec.schedule.begin(), spec.schedule.end());
  return values;
}

/// What rules and `when` may use beside the parameters.
void add_device(Values& values, const Architecture& arch) {
  values["SM"] = std::int64_t{arch.sm()};
  values["SHARED_BYTES_LIMIT"] = std::int64_t{shared_bytes_limit(arch)};
}

/// The manifest's rules and the two that every kernel has.
std::vector<Rule> all_rules(const Manifest& manifest) {
  std::vector<Rule> rules = manifest.rules;
  const auto add = [&](const char* text, const char* reason) {
    rules.push_back({Expression::parse(text, "every manifest", 0, 0), reason});
  };
  add("SHARED_BYTES <= SHARED_BYTES_LIMIT",
      "a block must not use more shared memory than the architecture has");
  add("THREADS <= 1024", "a block must not have more than 1024 threads");
  return rules;
}

/// "a tile is 16 rows per warp: BLOCK_M == 16 * WARPS does not hold with BLOCK_M=64 WARPS=8"
std::string describe_broken(const Rule& rule, const Values& values) {
  Values used;
  for (const std::string& name : rule.condition.names()) used[name] = values.find(name)->second;
  return fmt::format("{}: {} does not hold with {}", rule.reason, rule.condition.text(), print(used));
}

std::string why_wrong_architecture(const Manifest& manifest, const Architecture& arch) {
  for (const std::string& name : manifest.architectures) {
    const Architecture listed = architecture(name);
    if (listed.suffix != 0 ? listed == arch : runs_on(listed, arch)) return "";
  }
  return fmt::format("{} is none of the kernel's architectures, {}", arch.name(),
                     join(manifest.architectures));
}

/// Depth-first search over the schedule parameters. A rule is checked as soon as all that it uses is chosen,
/// so that a broken rule cuts off every schedule that shares the beginning.
class ScheduleSearch {
 public:
  ScheduleSearch(const Manifest& manifest, const Values& problem, const Architecture& arch)
      : manifest_(manifest),
        rules_(all_rules(manifest)),
        values_(problem),
        ready_(manifest.schedule.size() + 1) {
    add_device(values_, arch);
    const std::size_t threads = level_of(manifest.threads, 0, 0);
    const std::size_t shared_bytes = level_of(manifest.shared_bytes, 0, 0);
    ready_[threads].threads = true;
    ready_[shared_bytes].shared_bytes = true;
    for (const Rule& rule : rules_) {
      ready_[level_of(rule.condition, threads, shared_bytes)].rules.push_back(&rule.condition);
    }
  }

  std::vector<Values> run() {
    choose(0);
    return std::move(found_);
  }

 private:
  /// What can be computed once the first n parameters are chosen, and not before.
  struct Ready {
    bool threads = false, shared_bytes = false;
    std::vector<const Expression*> rules;
  };

  std::size_t level_of(const Expression& expression, std::size_t threads, std::size_t shared_bytes) const {
    std::size_t level = 0;
    for (const std::string& name : expression.names()) {
      if (name == "THREADS") level = std::max(level, threads);
      if (name == "SHARED_BYTES") level = std::max(level, shared_bytes);
      for (std::size_t i = 0; i < manifest_.schedule.size(); ++i) {
        if (manifest_.schedule[i].name == name) level = std::max(level, i + 1);
      }
    }
    return level;
  }

  void choose(std::size_t chosen) {
    if (++candidates_ > kMaxCandidates) {
      throw TemplateError(
          manifest_.family + '/' + manifest_.kernel + ".json", 0, 0,
          fmt::format("more than {} schedules would have to be tried; list fewer values", kMaxCandidates));
    }
    const Ready& ready = ready_[chosen];
    if (ready.threads) values_["THREADS"] = manifest_.threads.integer(values_);
    if (ready.shared_bytes) values_["SHARED_BYTES"] = manifest_.shared_bytes.integer(values_);
    for (const Expression* rule : ready.rules) {
      if (!rule->is_true(values_)) return;
    }
    if (chosen == manifest_.schedule.size()) {
      Values schedule;
      for (const Parameter& parameter : manifest_.schedule)
        schedule[parameter.name] = values_[parameter.name];
      found_.push_back(std::move(schedule));
      return;
    }
    const Parameter& parameter = manifest_.schedule[chosen];
    for (const Value& value : parameter.values) {
      values_[parameter.name] = value;
      choose(chosen + 1);
    }
  }

  const Manifest& manifest_;
  const std::vector<Rule> rules_;
  Values values_;
  std::vector<Ready> ready_;
  std::vector<Values> found_;
  std::size_t candidates_ = 0;
};

}  // namespace

LaunchShape launch_shape(const Manifest& manifest, const KernelSpec& spec) {
  const Values values = all_values(spec);
  const auto positive = [&](const Expression& expression, std::int64_t least) {
    if (expression.empty()) return 1;
    const std::int64_t result = expression.integer(values);
    if (result < least || result > std::numeric_limits<int>::max()) {
      expression.fail(
          fmt::format("{} must be from {} to 2^31 - 1, but is {}", expression.text(), least, result));
    }
    return static_cast<int>(result);
  };
  const auto holds = [&](const Expression& expression) {
    return !expression.empty() && expression.is_true(values);
  };
  return {.threads = positive(manifest.threads, 1),
          .shared_bytes = positive(manifest.shared_bytes, 0),
          .rows_per_block = positive(manifest.rows_per_block, 1),
          .blocks_per_row = positive(manifest.blocks_per_row, 1),
          .columns_per_tile = positive(manifest.columns_per_tile, 1),
          .walks = holds(manifest.walks),
          .programmatic = holds(manifest.programmatic)};
}

Values complete_problem(const Manifest& manifest, const Values& problem) {
  Values complete = with_fallbacks(manifest.problem, problem);
  if (const std::string why = why_illegal_values("problem", manifest.problem, complete); !why.empty()) {
    refuse(manifest, why);
  }
  for (const Rule& rule : manifest.rules) {
    const std::vector<std::string> names = rule.condition.names();
    const bool about_problem = std::all_of(names.begin(), names.end(),
                                           [&](const std::string& name) { return complete.contains(name); });
    if (about_problem && !rule.condition.is_true(complete)) refuse(manifest, describe_broken(rule, complete));
  }
  return complete;
}

const ScheduleRow& default_row(const Manifest& manifest, const Values& problem, const Architecture& arch) {
  Values values = problem;
  add_device(values, arch);
  for (const ScheduleRow& row : manifest.defaults) {
    if (admits(row.architectures, arch) && (!row.when || row.when->is_true(values))) return row;
  }
  throw TemplateError(manifest.family + '/' + manifest.kernel + ".json", 0, 0, "no default schedule matches");
}

Values default_schedule(const Manifest& manifest, const Values& problem, const Architecture& arch) {
  return default_row(manifest, problem, arch).schedule;
}

std::string why_illegal_values(const Manifest& manifest, const KernelSpec& spec) {
  if (std::string why = why_illegal_values("problem", manifest.problem, spec.problem); !why.empty())
    return why;
  return why_illegal_values("schedule", manifest.schedule, spec.schedule);
}

std::string why_illegal(const Manifest& manifest, const KernelSpec& spec, const Architecture& arch) {
  if (std::string why = why_wrong_architecture(manifest, arch); !why.empty()) return why;
  if (std::string why = why_illegal_values(manifest, spec); !why.empty()) return why;
  Values values = all_values(spec);
  add_device(values, arch);
  values["THREADS"] = manifest.threads.integer(values);
  values["SHARED_BYTES"] = manifest.shared_bytes.integer(values);
  for (const Rule& rule : all_rules(manifest)) {
    if (!rule.condition.is_true(values)) return describe_broken(rule, values);
  }
  return "";
}

std::vector<Values> legal_schedules(const Manifest& manifest, const Values& problem,
                                    const Architecture& arch) {
  if (!why_wrong_architecture(manifest, arch).empty()) return {};
  return ScheduleSearch(manifest, complete_problem(manifest, problem), arch).run();
}

KernelSpec complete_spec(const Manifest& manifest, const Values& problem, const Values& schedule,
                         const Architecture& arch) {
  KernelSpec spec{
      .kernel = manifest.kernel, .problem = complete_problem(manifest, problem), .schedule = schedule};
  spec.schedule.merge(default_schedule(manifest, spec.problem, arch));
  if (const std::string why = why_illegal(manifest, spec, arch); !why.empty()) refuse(manifest, why);
  return spec;
}

}  // namespace sprue::codegen
