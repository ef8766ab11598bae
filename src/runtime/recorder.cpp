// Appending to the prewarm manifest.
#include "runtime/recorder.h"

#include <fmt/format.h>

#include "codegen/prewarm_manifest.h"

namespace sprue {

void Recorder::add(const KernelSpec& asked, const Architecture& arch) {
  if (file_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!known_.insert(arch.name() + ' ' + print(asked)).second) return;
  }
  try {
    codegen::append_prewarm(file_, {asked.kernel, asked.problem, asked.schedule, {arch.name()}});
  } catch (const std::exception& e) {
    if (log_) log_(LogLevel::warning, fmt::format("[record] {} is not recorded: {}", print(asked), e.what()));
  }
}

}  // namespace sprue
