// `sprue`: the command line. Chooses the subcommand and turns errors into messages and exit codes.
#include <fmt/format.h>

#include <exception>
#include <string>

#include "codegen/suggest.h"
#include "command.h"
#include "exit_codes.h"
#include "output.h"
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

/// "sprue cache gc", as far as it was understood.
std::string path_of(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return app.get_name() + (chosen.empty() ? "" : ' ' + path_of(*chosen.front()));
}

/// What is wrong with the command line; for an unknown command, the one that may be meant.
std::string complaint(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* last = &app;
  while (!last->get_subcommands().empty()) last = last->get_subcommands().front();
  const auto commands =
      last->get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
  if (commands.empty() || last->remaining().empty()) return error.what();
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  const std::string given = last->remaining().front();
  return fmt::format("there is no command '{}' of {}; there are {}{}", given, path_of(app),
                     codegen::join(names), codegen::did_you_mean(given, names));
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
    remark(fmt::format("sprue: error: {}\nSee `{} --help`.", complaint(app, error), path_of(app)));
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
    sprue::tools::remark(fmt::format("sprue: error: {}", error.what()));
    return sprue::tools::exit_code(error);
  }
}
