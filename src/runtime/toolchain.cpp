// Finding and loading the device compiler, lazily.
#include "runtime/toolchain.h"

namespace sprue {

std::optional<compiler::CompilerIdentity> Toolchain::identity() {
  const std::lock_guard lock(mutex_);
  if (!identity_) identity_ = compiler::find_compiler(search_);
  return identity_;
}

const compiler::Compiler& Toolchain::compiler() {
  const auto found = identity();
  const std::lock_guard lock(mutex_);
  if (!compiler_) {
    compiler_ = std::make_unique<compiler::Compiler>(found ? compiler::CompilerSearch{found->path} : search_);
  }
  return *compiler_;
}

}  // namespace sprue
