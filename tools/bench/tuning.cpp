#include "bench/tuning.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>

#include "bench/replay.h"
#include "bench/workload.h"
#include "codegen/tuned.h"
#include "progress.h"
#include "reference/parallel.h"
#include "reference/scalar.h"
#include "runtime/runtime_impl.h"
#include "spec_arguments.h"
#include "sprue/error.h"
#include "tune/candidates.h"
#include "tune/race.h"

namespace sprue::tools {
namespace {

namespace fs = std::filesystem;

/// "rms_norm HIDDEN=4096 ... | THREADS=256 ..." back into values.
KernelSpec parse_spec(const RuntimeImpl& impl, const KernelInfo& info) {
  std::vector<std::string> assignments;
  for (std::size_t start = 0; start < info.spec.size();) {
    const std::size_t end = std::min(info.spec.find(' ', start), info.spec.size());
    const std::string word = info.spec.substr(start, end - start);
    if (word.find('=') != std::string::npos) assignments.push_back(word);
    start = end + 1;
  }
  const Request request = parse_request(impl.manifest(info.kernel), assignments);
  return {request.kernel, request.problem, request.schedule};
}

KernelSpec spec_of(const Problem& problem, const Candidate& candidate) {
  return {problem.spec.kernel, problem.spec.problem, candidate.schedule};
}

class ScratchFile {
 public:
  ScratchFile() {
    std::string name = (fs::temp_directory_path() / "sprue-tune-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw CacheError("no directory can be made in " + name);
    directory_ = name;
  }
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  fs::path path() const { return directory_ / "candidate.json"; }

 private:
  fs::path directory_;
};

/// The options of a runtime that gives the problem one schedule: it is told so by a tuned row, as an
/// application's would be.
RuntimeOptions tuned_options(const RuntimeOptions& base, const Problem& problem, const Values& schedule,
                             const fs::path& file) {
  codegen::TunedRow row;
  row.kernel = problem.spec.kernel;
  row.problem = problem.spec.problem;
  row.architectures = {problem.architecture};
  row.schedule = schedule;
  codegen::write_tuned(file, {row});
  RuntimeOptions options = base;
  options.tuned.push_back(file);
  return options;
}

void compile_all(RuntimeImpl& impl, const Problem& problem, std::vector<Candidate>& candidates) {
  Progress progress("compiled", candidates.size());
  std::mutex mutex;
  reference::parallel(static_cast<std::int64_t>(candidates.size()), [&](std::int64_t i) {
    Candidate& candidate = candidates[static_cast<std::size_t>(i)];
    try {
      impl.build(spec_of(problem, candidate), architecture(problem.architecture));
    } catch (const std::exception& error) {
      candidate.fault = error.what();
    }
    const std::lock_guard lock(mutex);
    progress.step(print(candidate.schedule));
  });
}

std::vector<float> some_values(const Result& result, std::size_t begin, std::size_t end) {
  const std::size_t size = size_of(result.tensor.dtype);
  return reference::widen(std::span(result.tensor.bytes).subspan(begin * size, (end - begin) * size),
                          result.tensor.dtype);
}
std::size_t count_values(const Result& result) {
  return result.tensor.bytes.size() / size_of(result.tensor.dtype);
}

/// ||result - wanted|| / ||wanted|| must be no more than rounding in another order explains. NaN is more.
std::string why_wrong(const Result& result, const Result& wanted) {
  double difference = 0, size = 0;
  std::mutex mutex;
  reference::parallel_chunks(count_values(wanted), [&](std::size_t begin, std::size_t end) {
    const std::vector<float> found = some_values(result, begin, end), truth = some_values(wanted, begin, end);
    double some_difference = 0, some_size = 0;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      const double value = truth[i], apart = found[i] - value;
      if (std::isfinite(value)) some_size += value * value;
      if (found[i] != truth[i]) some_difference += apart * apart;  // infinities may be the same
    }
    const std::lock_guard lock(mutex);
    difference += some_difference;
    size += some_size;
  });
  const DType dtype = wanted.tensor.dtype;
  const double bound = dtype == DType::bf16 ? 1e-2 : dtype == DType::f16 ? 2e-3 : 1e-5;
  const double error = std::sqrt(difference / std::max(size, 1e-30));
  return error <= bound ? ""
                        : fmt::format("wrong result: relative error of {} {:.1e}, at most {:.1e} is right",
                                      wanted.output, error, bound);
}

std::string why_wrong(const std::vector<Result>& results, const std::vector<Result>& wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string fault = why_wrong(results[i], wanted[i]);
    if (!fault.empty()) return fault;
  }
  return "";
}

bool complete(const std::vector<Result>& results) {
  return std::none_of(results.begin(), results.end(), [](const Result& result) {
    const std::vector<float> values = some_values(result, 0, count_values(result));
    return std::any_of(values.begin(), values.end(), [](float x) { return std::isnan(x); });
  });
}

/// What a candidate runs its shapes with.
struct Entrant {
  std::size_t candidate = 0;
  Runtime runtime;
  std::deque<Replay> replays;  // one per shape

  Entrant(std::size_t index, const RuntimeOptions& options) : candidate(index), runtime(options) {}
};

class Contest {
 public:
  Contest(const RuntimeOptions& options, const Problem& problem, std::vector<Candidate>& candidates)
      : options_(options), problem_(problem), candidates_(candidates), wanted_(problem.shapes.size()) {
    for (const Case& shape : problem.shapes) works_.push_back(make_workload(shape));
  }

  void check_all() {
    Progress progress("checked", candidates_.size());
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (candidates_[i].fault.empty()) candidates_[i].fault = enter(i);
      progress.step(print(candidates_[i].schedule));
    }
  }

  void race(int rounds) {
    const tune::RaceOptions options{.rounds = rounds};
    Progress progress("timed", static_cast<std::size_t>(options.trial_rounds + options.rounds));
    const auto medians = tune::race(entrants_.size(), options, [&](std::size_t i) {
      if (i == 0) progress.step("round");
      std::vector<double> times;
      for (Replay& replay : entrants_[i].replays) times.push_back(replay.sample_us(1).front());
      return tune::geometric_mean(times);
    });
    for (std::size_t i = 0; i < medians.size(); ++i)
      candidates_[entrants_[i].candidate].median_us = medians[i];
  }

 private:
  /// Why the candidate cannot take part, or nothing.
  std::string enter(std::size_t index) {
    const Candidate& candidate = candidates_[index];
    try {
      Entrant& entrant = entrants_.emplace_back(
          index, tuned_options(options_, problem_, candidate.schedule, scratch_.path()));
      std::string fault;
      for (std::size_t s = 0; s < works_.size() && fault.empty(); ++s) {
        const std::string spec = works_[s].prepare(entrant.runtime).spec;
        fault = spec == print(spec_of(problem_, candidate)) ? check(index, s, entrant.runtime)
                                                            : "the runtime chose another schedule: " + spec;
        if (fault.empty()) {
          entrant.replays.emplace_back(stream_, [&](Stream stream, int i) {
            works_[s].launch(entrant.runtime, stream, i % works_[s].sets);
          });
        }
      }
      if (!fault.empty()) entrants_.pop_back();
      return fault;
    } catch (const Error& error) {
      if (!entrants_.empty() && entrants_.back().candidate == index) entrants_.pop_back();
      return error.what();
    }
  }

  std::string check(std::size_t index, std::size_t shape, Runtime& runtime) {
    const Workload& work = works_[shape];
    work.poison();
    work.launch(runtime, stream_, 0);
    driver::synchronize(stream_);
    std::vector<Result> results = work.results();
    if (index != 0) return why_wrong(results, wanted_[shape]);
    wanted_[shape] = std::move(results);
    return complete(wanted_[shape]) ? "" : "the baseline's result has values that are not numbers";
  }

  const RuntimeOptions& options_;
  const Problem& problem_;
  std::vector<Candidate>& candidates_;
  const ScratchFile scratch_;
  const driver::StreamHandle stream_;
  std::deque<Workload> works_;
  std::vector<std::vector<Result>> wanted_;  // the baseline's results, by shape
  std::deque<Entrant> entrants_;
};

}  // namespace

std::vector<Problem> problems_of(Runtime& runtime, const std::vector<Case>& shapes) {
  std::map<std::string, Problem> problems;
  for (const Case& shape : shapes) {
    const KernelInfo info = make_workload(shape).prepare(runtime);
    Problem& problem = problems[info.spec];
    problem.spec = parse_spec(runtime.impl(), info);
    problem.architecture = info.architecture;
    problem.shapes.push_back(shape);
  }
  std::vector<Problem> result;
  for (auto& entry : problems) result.push_back(std::move(entry.second));
  return result;
}

std::vector<Candidate> candidates_of(Runtime& runtime, const Problem& problem, std::size_t most) {
  const codegen::Manifest& manifest = runtime.impl().manifest(problem.spec.kernel);
  const auto legal =
      codegen::legal_schedules(manifest, problem.spec.problem, architecture(problem.architecture));
  std::vector<Candidate> candidates;
  for (const Values& schedule : tune::candidates(legal, problem.spec.schedule, most))
    candidates.push_back({schedule});
  return candidates;
}

void race_candidates(Runtime& runtime, const Problem& problem, int rounds,
                     std::vector<Candidate>& candidates) {
  compile_all(runtime.impl(), problem, candidates);
  Contest contest(runtime.options(), problem, candidates);
  contest.check_all();
  if (!candidates.front().fault.empty())
    throw Error("the baseline cannot be timed: " + candidates.front().fault);
  contest.race(rounds);
}

}  // namespace sprue::tools
