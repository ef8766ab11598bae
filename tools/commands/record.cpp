// sprue record: runs a program and writes the kernels that it asks Sprue for to a prewarm manifest.
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "codegen/prewarm_manifest.h"
#include "codegen/suggest.h"
#include "command.h"
#include "exit_codes.h"
#include "output.h"
#include "sprue/error.h"
#include "table.h"

extern char** environ;

namespace sprue::tools {
namespace {

namespace fs = std::filesystem;

struct RecordOptions {
  std::string manifest;
  std::vector<std::string> program;
};

/// The exit code of the program, as a shell tells it.
int run_program(const std::vector<std::string>& program) {
  std::vector<char*> argv;
  for (const std::string& argument : program) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t process = 0;
  if (const int error = posix_spawnp(&process, argv[0], nullptr, nullptr, argv.data(), environ)) {
    throw ArgumentError(fmt::format("{} cannot be run: {}", program.front(), std::strerror(error)));
  }
  signal(SIGINT, SIG_IGN);  // Ctrl-C is for the program; what it asked for until then is in the manifest
  int status = 0;
  waitpid(process, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run(const RecordOptions& options) {
  const fs::path manifest = fs::absolute(options.manifest);
  const auto entries_now = [&] {
    return fs::exists(manifest) ? codegen::read_prewarm(manifest) : std::vector<codegen::PrewarmEntry>();
  };
  const std::size_t before = entries_now().size();
  setenv("SPRUE_RECORD", manifest.c_str(), 1);
  const int code = run_program(options.program);

  const auto entries = entries_now();
  Table table({{"kernel"}, {"arch"}, {"problem"}});
  for (std::size_t i = std::min(before, entries.size()); i < entries.size(); ++i) {
    table.add({entries[i].kernel, codegen::join(entries[i].architectures), print(entries[i].problem)});
  }
  if (entries.size() > before) remark(table.print(text_width()));
  remark(fmt::format("{} kernels recorded, {} in {}", entries.size() - std::min(before, entries.size()),
                     entries.size(), manifest.string()));
  if (code != 0) {
    remark(fmt::format("sprue: error: {} ended with exit code {}", options.program.front(), code));
    return code;
  }
  return entries.empty() ? kCheckFailed : kOk;
}

}  // namespace

void setup_record(CLI::App& app) {
  CLI::App& command = add_command(
      app, "record", "Run a program and write the kernels it asks for to a manifest",
      "  sprue record kernels.json -- ./server --model llama.bin\n"
      "  sprue prewarm kernels.json --arch sm_90\n"
      "Kernels are added to a manifest that exists. The exit code is the program's own; 8 if it\n"
      "asked for no kernel. Setting SPRUE_RECORD=FILE does the same for a program run elsewhere.\n");
  const auto options = std::make_shared<RecordOptions>();
  command.add_option("MANIFEST", options->manifest, "JSON file to write or to add to")
      ->type_name("")
      ->required();
  command.add_option("PROGRAM", options->program, "The program and its arguments, behind --")
      ->type_name("")
      ->required();
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
