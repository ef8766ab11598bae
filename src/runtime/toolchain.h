// Toolchain: the device compiler of this machine, found when first asked for and loaded at the first compile.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "compiler/compiler.h"

namespace sprue {

/// Thread-safe. Its absence is not remembered: a compiler that is installed later is found.
class Toolchain {
 public:
  explicit Toolchain(std::string nvrtc) : search_{std::move(nvrtc)} {}

  /// Nothing when there is no compiler. Loads nothing.
  std::optional<compiler::CompilerIdentity> identity();
  /// The very library that identity() names, loaded. CompileError that lists the places tried when there is
  /// none.
  const compiler::Compiler& compiler();

 private:
  const compiler::CompilerSearch search_;
  std::mutex mutex_;
  std::optional<compiler::CompilerIdentity> identity_;
  std::unique_ptr<compiler::Compiler> compiler_;
};

}  // namespace sprue
