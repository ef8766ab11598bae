// The subcommands of `sprue`. Each file in commands/ has an options struct, a setup function and a run
// function.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "codegen/store.h"
#include "sprue/runtime.h"

namespace sprue::tools {

void setup_list(CLI::App& app);
void setup_emit(CLI::App& app);
void setup_prewarm(CLI::App& app);
void setup_worker(CLI::App& app);
void setup_record(CLI::App& app);
void setup_cache(CLI::App& app);
void setup_explain(CLI::App& app);
void setup_doctor(CLI::App& app);
void setup_run(CLI::App& app);
void setup_bench(CLI::App& app);
void setup_tune(CLI::App& app);

/// Adds a subcommand; `examples` end its --help.
CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& examples);

/// Calls `run` when `command` is the one given; what it returns is the exit code.
void on_run(CLI::App& command, std::function<int()> run);

/// --cache alone; for commands that use no runtime.
void add_cache_option(CLI::App& command);
/// --cache, --templates, --tuned, --nvrtc and --verbose. Each sets its SPRUE_ variable, so that
/// runtime_options() and every process started from here see it.
void add_runtime_options(CLI::App& command);

/// The options that the environment and the command line give. What SPRUE_LOG lets pass goes to `log`, a line
/// at a time.
RuntimeOptions runtime_options(std::function<void(const std::string&)> log = {});

/// The templates that a runtime with these options uses.
codegen::TemplateStore template_store(const RuntimeOptions& options);

}  // namespace sprue::tools
