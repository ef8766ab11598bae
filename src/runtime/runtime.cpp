// Runtime: the public face of RuntimeImpl.
#include "sprue/runtime.h"

#include "runtime/runtime_impl.h"

namespace sprue {

Runtime::Runtime(RuntimeOptions options) : impl_(std::make_unique<RuntimeImpl>(std::move(options))) {}

Runtime::~Runtime() = default;

const RuntimeOptions& Runtime::options() const {
  return impl_->options();
}

Counters Runtime::counters() const {
  return impl_->counters();
}

std::filesystem::path Runtime::cache_directory() const {
  return impl_->store().options().directory;
}

}  // namespace sprue
