// `sprue`: the command line. Chooses the subcommand and turns errors into messages and exit codes.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <exception>
#include <string>

#include "command.h"
#include "exit_codes.h"
#include "output.h"
#include "sprue/error.h"
#include "sprue/version.h"

namespace sprue::tools {
namespace {

void setup(CLI::App& app) {
  app.set_version_flag("--version", "sprue " SPRUE_VERSION);
  app.require_subcommand(1);
  app.footer(std::string("Every command has its own --help with examples.\n\n") + kExitCodeHelp);
  app.get_formatter()->column_width(32);
  setup_list(app);
  setup_emit(app);
  setup_prewarm(app);
  setup_worker(app);
  setup_record(app);
  setup_cache(app);
  setup_explain(app);
  setup_doctor(app);
  setup_run(app);
  setup_bench(app);
  setup_tune(app);
}

void report(const std::exception& error) {
  remark(fmt::format("sprue: error: {}", error.what()));
  if (const auto* compile = dynamic_cast<const CompileError*>(&error);
      compile != nullptr && !compile->reproduce.empty()) {
    remark("reproduce with: " + compile->reproduce);
  }
}

int run(int argc, char** argv) {
  CLI::App app("Generates, compiles, caches and launches GPU kernels for transformer models.", "sprue");
  setup(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& done) {
    finish_output();
    return done.get_exit_code();
  } catch (const CLI::Success& help) {  // --help, --version
    app.exit(help);
  } catch (const CLI::ParseError& error) {
    remark(fmt::format("sprue: error: {}\nRun it with --help for usage and examples.", error.what()));
    return kUsage;
  }
  finish_output();
  return kOk;
}

}  // namespace
}  // namespace sprue::tools

int main(int argc, char** argv) {
  try {
    return sprue::tools::run(argc, argv);
  } catch (const std::exception& error) {
    sprue::tools::report(error);
    return sprue::tools::exit_code(error);
  }
}
