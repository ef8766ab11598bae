// The checks of `sprue doctor`, except those of the cache, which are in doctor_cache.cpp.
#include "commands/doctor_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "codegen/manifest.h"
#include "codegen/suggest.h"
#include "codegen/tuned.h"
#include "command.h"
#include "compiler/compiler.h"
#include "driver/device.h"
#include "driver/driver.h"
#include "output.h"
#include "sprue/error.h"

extern char** environ;

namespace sprue::tools {
namespace {

/// Every variable that Sprue reads.
const std::vector<std::string> kVariables = {
    "SPRUE_CACHE", "SPRUE_CACHE_DIR", "SPRUE_CACHE_LIMIT",       "SPRUE_CACHE_READONLY", "SPRUE_LOG",
    "SPRUE_NVRTC", "SPRUE_RECORD",    "SPRUE_REQUIRE_PREWARMED", "SPRUE_TEMPLATES",      "SPRUE_TUNED",
};

/// Runs a check whose errors are findings.
template <class Check>
void guarded(Findings& findings, const char* area, const char* advice, const Check& check) {
  try {
    check();
  } catch (const Error& error) {
    findings.push_back({Finding::problem, area, error.what(), advice, exit_code(error)});
  }
}

}  // namespace

void check_environment(Findings& findings, RuntimeOptions& options) {
  guarded(findings, "environment", "correct or unset the variable", [&] { options = runtime_options(); });
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable, name = text.substr(0, text.find('='));
    const bool known = std::find(kVariables.begin(), kVariables.end(), name) != kVariables.end();
    if (known || name == "CUDA_VISIBLE_DEVICES") {
      findings.push_back({Finding::ok, "environment", text});
    } else if (name.starts_with("SPRUE_")) {
      findings.push_back({Finding::warning, "environment",
                          text + " has no effect" + codegen::did_you_mean(name, kVariables),
                          "Sprue reads " + codegen::join(kVariables)});
    }
  }
}

void check_templates(Findings& findings, const RuntimeOptions& options) {
  guarded(findings, "templates", "correct the files that SPRUE_TEMPLATES and SPRUE_TUNED name", [&] {
    const codegen::TemplateStore store = template_store(options);
    const std::string from =
        options.template_directory.empty()
            ? "built in"
            : fmt::format("built in, with overrides from {}", options.template_directory.string());
    findings.push_back(
        {Finding::ok, "templates", fmt::format("{} kernels, {}", codegen::manifests(store).size(), from)});
    codegen::TunedTable::load(store, options.tuned);
    for (const auto& path : options.tuned)
      findings.push_back({Finding::ok, "templates", "tuned schedules: " + path.string()});
  });
}

void check_compiler(Findings& findings, const RuntimeOptions& options) {
  const compiler::CompilerSearch search{options.nvrtc};
  std::vector<std::string> tried;
  if (!compiler::find_compiler(search, &tried)) {
    std::string text = "there is no NVRTC; looked at";
    for (const std::string& place : tried) text += "\n  " + place;
    findings.push_back(
        {Finding::problem, "compiler", text,
         "install the CUDA toolkit or `pip install nvidia-cuda-nvrtc`, or name libnvrtc by SPRUE_NVRTC; "
         "without it only prewarmed kernels can be launched",
         kCompile});
    return;
  }
  guarded(findings, "compiler", "name another libnvrtc by SPRUE_NVRTC", [&] {
    const compiler::Compiler compiler(search);
    const std::vector<std::string> names = compiler.architectures();
    findings.push_back(
        {Finding::ok, "compiler", fmt::format("NVRTC {}, {}", compiler.version(), compiler.identity().path)});
    findings.push_back({Finding::ok, "compiler", "build id " + compiler.identity().build_id});
    findings.push_back({Finding::ok, "compiler", "builds for " + codegen::join(names)});
    if (!driver::available()) return;
    for (int i = 0; i < driver::device_count(); ++i) {
      const std::string arch = driver::device_info(i).architecture.name();
      if (std::find(names.begin(), names.end(), arch) != names.end()) continue;
      findings.push_back({Finding::warning, "compiler",
                          fmt::format("this NVRTC does not know {}, GPU {}", arch, i),
                          "install a newer CUDA toolkit"});
    }
    const std::string driver_version = driver::version();
    if (std::stoi(compiler.version()) > std::stoi(driver_version)) {
      findings.push_back(
          {Finding::warning, "compiler",
           fmt::format(
               "NVRTC {} is of a newer major version than the driver, which supports CUDA {}: kernels "
               "that it compiles may not load",
               compiler.version(), driver_version),
           "update the driver, or name an older libnvrtc by SPRUE_NVRTC"});
    }
  });
}

void check_driver(Findings& findings) {
  const char* advice =
      "nothing can be launched here; list, emit, prewarm, cache and explain work all the same";
  if (!driver::available()) {
    findings.push_back({Finding::problem, "driver", driver::unavailable_reason(), advice, kCuda});
    return;
  }
  guarded(findings, "driver", advice, [&] {
    findings.push_back({Finding::ok, "driver", "supports CUDA " + driver::version()});
    const int count = driver::device_count();
    if (count == 0)
      findings.push_back({Finding::problem, "driver", "there is a driver but no GPU", advice, kCuda});
    for (int i = 0; i < count; ++i) {
      const driver::DeviceInfo& device = driver::device_info(i);
      findings.push_back(
          {Finding::ok, "driver",
           fmt::format("GPU {}: {}, {}, {} multiprocessors, {}", i, device.name, device.architecture.name(),
                       device.multiprocessors, size_text(static_cast<std::uint64_t>(device.memory_bytes)))});
    }
  });
}

}  // namespace sprue::tools
