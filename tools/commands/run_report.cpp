#include "commands/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "exit_codes.h"
#include "output.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;
using reference::Comparison;

ordered_json json_of(const Comparison& comparison) {
  return {{"max_error", comparison.error}, {"bound", comparison.bound}, {"passed", comparison.passed()}};
}

ordered_json json_of(const RunReport& report) {
  ordered_json json = {{"operator", report.op},
                       {"shape", report.shape},
                       {"kernel", report.kernel.spec},
                       {"architecture", report.kernel.architecture},
                       {"origin", report.kernel.origin},
                       {"median_us", report.median_us},
                       {report.rate_unit == "TFLOPS" ? "tflops" : "gb_per_s", report.rate}};
  for (const Check& check : report.checks)
    json[check.output == "output" ? "check" : check.output + "_check"] = json_of(check.comparison);
  json["written"] = report.written;
  return json;
}

std::string line_of(const Check& check) {
  const Comparison& comparison = check.comparison;
  return fmt::format("  check   {}: {}, {}\n", check.output, comparison.print(),
                     comparison.passed() ? "passed" : "FAILED");
}

std::string text_of(const RunReport& report) {
  const KernelInfo& kernel = report.kernel;
  std::string text = fmt::format("{}: {}\n", report.op, report.shape);
  text += fmt::format("  kernel  {}, {}\n", kernel.spec, kernel.architecture);
  text += kernel.origin == "compiled" ? fmt::format("  origin  compiled in {:.0f} ms\n", kernel.compile_ms)
                                      : fmt::format("  origin  {}\n", kernel.origin);
  for (const Check& check : report.checks) text += line_of(check);
  for (const std::string& file : report.written) text += fmt::format("  wrote   {}\n", file);
  return text +
         fmt::format("  time    {:.1f} us, {:.1f} {}\n", report.median_us, report.rate, report.rate_unit);
}

}  // namespace

int tell(const RunReport& report, bool as_json) {
  if (as_json) {
    put_json(json_of(report));
  } else {
    put(text_of(report));
  }
  const bool passed = std::all_of(report.checks.begin(), report.checks.end(),
                                  [](const Check& check) { return check.comparison.passed(); });
  return passed ? kOk : kCheckFailed;
}

}  // namespace sprue::tools
