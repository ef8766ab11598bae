#include "command.h"

#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "output.h"

namespace sprue::tools {
namespace {

void add_variable(CLI::App& command, const std::string& flag, const char* kind, const char* variable,
                  const std::string& help) {
  command
      .add_option_function<std::string>(
          flag, [variable](const std::string& value) { setenv(variable, value.c_str(), 1); }, help)
      ->type_name(kind)
      ->group("Runtime options");
}

/// SPRUE_LOG: debug, info, warning (the default) or off.
LogLevel log_threshold(bool& off) {
  const char* text = std::getenv("SPRUE_LOG");
  const std::string_view level = text == nullptr || *text == 0 ? "warning" : text;
  off = level == "off";
  if (off || level == "warning") return LogLevel::warning;
  if (level == "info") return LogLevel::info;
  if (level == "debug") return LogLevel::debug;
  throw ArgumentError(fmt::format("SPRUE_LOG must be debug, info, warning or off, but is '{}'", level));
}

}  // namespace

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& examples) {
  CLI::App& command = *app.add_subcommand(name, summary);
  command.footer(examples.empty() ? "" : "Examples:\n" + examples);
  return command;
}

void on_run(CLI::App& command, std::function<int()> run) {
  command.callback([run = std::move(run)] {
    if (const int code = run()) throw CLI::RuntimeError(code);
  });
}

void add_cache_option(CLI::App& command) {
  add_variable(command, "--cache", "DIR", "SPRUE_CACHE_DIR", "The kernel cache (SPRUE_CACHE_DIR)");
}

void add_runtime_options(CLI::App& command) {
  add_cache_option(command);
  add_variable(command, "--templates", "DIR", "SPRUE_TEMPLATES",
               "Its templates replace the built-in ones (SPRUE_TEMPLATES)");
  add_variable(command, "--tuned", "PATHS", "SPRUE_TUNED",
               "Tuned schedules: JSON files or directories of them, joined by : (SPRUE_TUNED)");
  add_variable(command, "--nvrtc", "PATH", "SPRUE_NVRTC",
               "The libnvrtc to use, or its directory (SPRUE_NVRTC)");
  command
      .add_flag_function(
          "--verbose",  // and no -v: newer CLI11 takes it for --v, the values of attention
          [](std::int64_t count) { setenv("SPRUE_LOG", count > 1 ? "debug" : "info", 1); },
          "Log to standard error; twice for more (SPRUE_LOG)")
      ->group("Runtime options");
}

RuntimeOptions runtime_options(std::function<void(const std::string&)> log) {
  RuntimeOptions options = RuntimeOptions::from_environment();
  bool off = false;
  const LogLevel threshold = log_threshold(off);
  if (off) return options;
  if (!log) log = remark;
  options.log = [threshold, log = std::move(log)](LogLevel level, std::string_view message) {
    if (level < threshold) return;
    const char* name = level == LogLevel::warning ? "warning" : level == LogLevel::info ? "info" : "debug";
    log(fmt::format("sprue: {}: {}", name, message));
  };
  return options;
}

codegen::TemplateStore template_store(const RuntimeOptions& options) {
  return options.template_directory.empty()
             ? codegen::TemplateStore::embedded()
             : codegen::TemplateStore::with_overrides(options.template_directory);
}

}  // namespace sprue::tools
