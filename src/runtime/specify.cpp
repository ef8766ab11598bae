// Request → KernelSpec: which schedule a problem gets, and for which architecture a device's kernels are
// built.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/runtime_impl.h"

namespace sprue {

KernelSpec RuntimeImpl::specify(const Request& request, const Architecture& arch) const {
  const codegen::Manifest& manifest = this->manifest(request.kernel);
  const Values problem = codegen::complete_problem(manifest, request.problem);
  if (const codegen::TunedRow* row = tuned_.find(request.kernel, problem, arch)) {
    KernelSpec spec{request.kernel, problem, request.schedule};
    spec.schedule.insert(row->schedule.begin(), row->schedule.end());
    spec.schedule.merge(codegen::default_schedule(manifest, problem, arch));
    const std::string why = codegen::why_illegal(manifest, spec, arch);
    if (why.empty()) return spec;
    log(LogLevel::warning,
        fmt::format("[{}] the tuned schedule at {} is not used: {}", request.kernel, row->origin, why));
  }
  return codegen::complete_spec(manifest, problem, request.schedule, arch);
}

bool RuntimeImpl::admits(const Request& request, const Architecture& device) const {
  try {
    specify(request, target(manifest(request.kernel), device));
    return true;
  } catch (const ArgumentError& error) {
    log(LogLevel::debug, fmt::format("{} is not used: {}", request.kernel, error.what()));
    return false;
  }
}

Architecture RuntimeImpl::target(const codegen::Manifest& manifest, const Architecture& device) const {
  const auto rank = [](const Architecture& arch) { return 2 * arch.sm() + (arch.suffix == 'a'); };
  std::optional<Architecture> best;
  bool same_family = false;
  for (const std::string& name : manifest.architectures) {
    const Architecture listed = architecture(name);
    same_family |= listed.major == device.major && listed.suffix == 0;
    if (runs_on(listed, device) && (!best || rank(listed) > rank(*best))) best = listed;
  }
  if (best) return *best;
  if (same_family) return device;
  throw ArgumentError(fmt::format("[{}] the device must be one that kernels for {} run on, but is {}",
                                  manifest.operation, fmt::join(manifest.architectures, ", "),
                                  device.name()));
}

}  // namespace sprue
