// KernelTable's writing side: one writer at a time, growth into a fresh table.
#include "runtime/kernel_table.h"

namespace sprue {

KernelTable::KernelTable() {
  generations_.push_back(std::make_unique<Slots>(64));
  slots_.store(generations_.back().get(), std::memory_order_release);
}

void KernelTable::place(Slots& slots, const KernelKey& key, const LoadedKernel* kernel) {
  std::size_t i = hash(key);
  while (slots.data[i & slots.mask].kernel.load(std::memory_order_relaxed) != nullptr) ++i;
  Slot& slot = slots.data[i & slots.mask];
  slot.key = key;
  slot.kernel.store(kernel, std::memory_order_release);
}

const LoadedKernel& KernelTable::insert(const KernelKey& key, std::unique_ptr<LoadedKernel> kernel) {
  const std::lock_guard lock(mutex_);
  if (const LoadedKernel* earlier = find(key)) return *earlier;
  kernels_.push_back(std::move(kernel));
  const LoadedKernel* added = kernels_.back().get();
  Slots& current = *generations_.back();
  if (2 * kernels_.size() <= current.mask + 1) {
    place(current, key, added);
    return *added;
  }
  auto larger = std::make_unique<Slots>(2 * (current.mask + 1));
  for (std::size_t i = 0; i <= current.mask; ++i) {
    const Slot& slot = current.data[i];
    if (const LoadedKernel* old = slot.kernel.load(std::memory_order_relaxed)) place(*larger, slot.key, old);
  }
  place(*larger, key, added);
  generations_.push_back(std::move(larger));
  slots_.store(generations_.back().get(), std::memory_order_release);
  return *added;
}

std::vector<const LoadedKernel*> KernelTable::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<const LoadedKernel*> kernels;
  for (const auto& kernel : kernels_) kernels.push_back(kernel.get());
  return kernels;
}

}  // namespace sprue
