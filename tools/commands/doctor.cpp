// sprue doctor: what this machine has, what would go wrong, and what to do about it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "commands/doctor_checks.h"
#include "output.h"
#include "sprue/version.h"
#include "table.h"

namespace sprue::tools {
namespace {

struct DoctorOptions {
  bool json = false;
};

constexpr const char* kLevels[] = {"ok", "warning", "problem"};

/// The first problem's code. The driver is checked last, so that 5 means: all but the GPU is there, and
/// prewarm works.
int verdict(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.level == Finding::problem) return finding.code;
  }
  return kOk;
}

/// `text` in a column of its own; its first line behind `mark`.
void put_column(std::string mark, const std::string& text) {
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    for (const std::string& line :
         wrap(text.substr(start, end - start), static_cast<std::size_t>(text_width()) - 22)) {
      put(fmt::format("{:<22}{}\n", mark, line));
      mark.clear();
    }
    start = end + 1;
  }
}

void print_text(const Findings& findings) {
  std::string area;
  for (const Finding& finding : findings) {
    const std::string title = finding.area == area ? "" : finding.area;
    area = finding.area;
    put_column(fmt::format("{:<12} {:<8}", title, kLevels[finding.level]), finding.text);
    put_column("", finding.advice.empty() ? "" : "-> " + finding.advice);
  }
  const int code = verdict(findings);
  put(code == kOk     ? "\nKernels can be launched on this machine.\n"
      : code == kCuda ? "\nKernels can be built on this machine, but not launched.\n"
                      : "\nThis machine is not ready; see the first problem above.\n");
}

int run(const DoctorOptions& options) {
  Findings findings{{Finding::ok, "sprue", SPRUE_VERSION}};
  RuntimeOptions runtime;
  check_environment(findings, runtime);
  check_templates(findings, runtime);
  check_compiler(findings, runtime);
  check_cache(findings, runtime);
  check_driver(findings);
  if (options.json) {
    nlohmann::ordered_json json{{"exit_code", verdict(findings)},
                                {"findings", nlohmann::ordered_json::array()}};
    for (const Finding& finding : findings) {
      json["findings"].push_back({{"area", finding.area},
                                  {"level", kLevels[finding.level]},
                                  {"text", finding.text},
                                  {"advice", finding.advice}});
    }
    put_json(json);
  } else {
    print_text(findings);
  }
  return verdict(findings);
}

}  // namespace

void setup_doctor(CLI::App& app) {
  CLI::App& command = add_command(
      app, "doctor", "Check driver, compiler, cache, templates and environment",
      "  sprue doctor\n"
      "  sprue doctor --json | jq '.findings[] | select(.level != \"ok\")'\n"
      "Exit codes: 0 a launch would work; 5 kernels can be built but there is no GPU; otherwise the\n"
      "code that a launch would end with (2 environment, 3 templates, 4 compiler, 6 cache).\n");
  const auto options = std::make_shared<DoctorOptions>();
  command.add_flag("--json", options->json, "Print JSON");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
