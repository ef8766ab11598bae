// sprue tune: measures candidate schedules on this GPU, after checking their results, and writes the winners
// to JSON.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/cases.h"
#include "bench/machine.h"
#include "bench/tuning.h"
#include "codegen/tuned.h"
#include "command.h"
#include "output.h"
#include "spec_arguments.h"
#include "sprue/error.h"
#include "table.h"
#include "tune/race.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

struct TuneOptions {
  std::string op, file, out = "tuned.json", report;
  std::vector<std::string> shapes, any;
  std::size_t most = 0;
  int rounds = 20;
  double margin_percent = 1;
};

std::vector<Case> chosen_cases(const TuneOptions& options) {
  const Operator& op = find_operator(options.op);
  std::vector<Case> cases = options.file.empty() ? std::vector<Case>() : read_cases(op, options.file);
  for (const std::string& text : options.shapes) cases.push_back(parse_case_text(op, text));
  if (cases.empty()) throw ArgumentError("--shapes or --shape must give at least one shape to tune for");
  return cases;
}

struct Outcome {
  Problem problem;
  std::vector<Candidate> candidates;
  std::size_t winner = 0;
};

Outcome tune_one(Runtime& runtime, const Problem& problem, const TuneOptions& options) {
  Outcome outcome{problem, candidates_of(runtime, problem, options.most)};
  race_candidates(runtime, problem, options.rounds, outcome.candidates);
  std::vector<double> medians;
  for (const Candidate& candidate : outcome.candidates) {
    medians.push_back(candidate.fault.empty() ? candidate.median_us : INFINITY);
  }
  outcome.winner = tune::winner(medians, options.margin_percent / 100);
  return outcome;
}

codegen::TunedRow row_of(const Outcome& outcome, const Machine& machine,
                         const std::vector<std::string>& any) {
  const Candidate& winner = outcome.candidates[outcome.winner];
  codegen::TunedRow row;
  row.kernel = outcome.problem.spec.kernel;
  row.problem = outcome.problem.spec.problem;
  for (const std::string& name : any) {
    if (row.problem.erase(name) == 0) {
      throw ArgumentError(
          fmt::format("--any must name parameters of the problem of {}, but names {}", row.kernel, name));
    }
  }
  row.architectures = {outcome.problem.architecture};
  row.schedule = winner.schedule;
  row.measured = {machine.device, machine.driver, machine.nvrtc, machine.date, winner.median_us};
  return row;
}

ordered_json report_of(const Outcome& outcome) {
  ordered_json json = {{"kernel", outcome.problem.spec.kernel},
                       {"problem", to_json(outcome.problem.spec.problem)},
                       {"architecture", outcome.problem.architecture}};
  for (const Case& shape : outcome.problem.shapes) json["shapes"].push_back(shape.text);
  json["winner"] = to_json(outcome.candidates[outcome.winner].schedule);
  for (const Candidate& candidate : outcome.candidates) {
    ordered_json item = {{"schedule", to_json(candidate.schedule)}};
    if (candidate.fault.empty()) {
      item["median_us"] = candidate.median_us;
    } else {
      item["fault"] = candidate.fault;
    }
    json["candidates"].push_back(std::move(item));
  }
  return json;
}

int run(const TuneOptions& options) {
  const std::vector<Case> cases = chosen_cases(options);
  std::vector<codegen::TunedRow> rows = codegen::read_tuned(options.out);
  Runtime runtime(runtime_options());
  const Machine machine = this_machine(runtime);
  ordered_json report = machine.json();
  Table table({{"baseline us", Column::right},
               {"winner us", Column::right},
               {"faulty", Column::right},
               {"problem and winner"}});

  for (const Problem& problem : problems_of(runtime, cases)) {
    const Outcome outcome = tune_one(runtime, problem, options);
    const Candidate& winner = outcome.candidates[outcome.winner];
    codegen::merge_tuned(rows, {row_of(outcome, machine, options.any)});
    codegen::write_tuned(options.out, rows);  // after each problem, so that an interruption loses one at most
    report["problems"].push_back(report_of(outcome));
    std::size_t faulty = 0;
    for (const Candidate& candidate : outcome.candidates) faulty += !candidate.fault.empty();
    table.add({fmt::format("{:.1f}", outcome.candidates.front().median_us),
               fmt::format("{:.1f}", winner.median_us),
               fmt::format("{} of {}", faulty, outcome.candidates.size()),
               print(KernelSpec{problem.spec.kernel, problem.spec.problem, winner.schedule})});
  }
  if (!options.report.empty()) write_file(options.report, report.dump(2) + "\n");
  put(machine.print() + "\n\n" + table.print(text_width()));
  remark(fmt::format("wrote {}; a runtime uses it when SPRUE_TUNED or its options name it", options.out));
  return 0;
}

}  // namespace

void setup_tune(CLI::App& app) {
  const auto options = std::make_shared<TuneOptions>();
  CLI::App& command = add_command(
      app, "tune", "Measure the schedules of an operator on this GPU and write the winners to JSON",
      "  sprue tune attention --shape seqlen=8192,heads=16,head_dim=128,causal=true --out h100.json\n"
      "  sprue tune rms_norm --shapes shapes.json --max-candidates 40 --report all.json\n"
      "Shapes that run the same kernel share a schedule: the winner is the fastest by the geometric mean of\n"
      "their times. --shapes takes {\"rms_norm\": [{\"rows\": 4096, \"hidden\": 8192}]}; `sprue bench "
      "OPERATOR\n"
      "--help` lists the keys.\n");
  command.add_option("OPERATOR", options->op, "Such as attention or rms_norm")->required();
  command.add_option("--shapes", options->file, "FILE of shapes");
  command.add_option("--shape", options->shapes, "One shape, key=value,...; may be given several times");
  command.add_option("--out", options->out, "FILE that the winners are merged into (tuned.json)");
  command.add_option("--report", options->report, "FILE for the times and faults of all candidates, as JSON");
  command.add_option("--any", options->any,
                     "PARAMETER that the winner's row leaves open, such as HAS_LSE; may be repeated");
  command.add_option("--max-candidates", options->most, "Try at most so many schedules per problem (0: all)");
  command.add_option("--rounds", options->rounds, "Timed rounds of those near the front (20)");
  command.add_option("--margin", options->margin_percent,
                     "How many percent faster than now a winner must be (1)");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
