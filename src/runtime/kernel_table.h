// KernelTable: the hot path's lookup from a small POD key to an immutable loaded kernel. Lock-free to read.
#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/values.h"

namespace sprue {

/// Identity on the hot path: which operator kernel, on which device, with which packed specialisation. No
/// text.
struct KernelKey {
  std::uint32_t kernel = 0;           ///< kernel_id() of its name.
  std::int32_t device = 0;            ///< Driver ordinal.
  std::uint64_t specialisation[2]{};  ///< The problem, packed by the operator.
  auto operator<=>(const KernelKey&) const = default;
};

/// FNV-1a of a kernel's name, at compile time. A test asserts that no two shipped kernels share one.
constexpr std::uint32_t kernel_id(std::string_view name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

/// A kernel that is loaded and ready to launch on every context of its device. Lives as long as the runtime.
struct LoadedKernel {
  void* handle = nullptr;  ///< CUkernel; the driver's launch calls take it as a CUfunction.
  std::uint32_t id = 0;    ///< kernel_id() of its name: which template was taken where a key leaves a choice.
  LaunchShape launch;
  int device = 0;
  int multiprocessors = 0;            ///< Of the device.
  int blocks_per_multiprocessor = 0;  ///< How many blocks of this kernel fit on one, by the driver's word.
  int groups_at_once = 0;  ///< Blocks, or clusters if it has those, that the device runs at once; at least 1.
  KernelSpec spec;
  std::string architecture, origin;
  Resources resources;
  double compile_ms = 0.0;
};

/// Open addressing with linear probing, at most half full. A slot's key is written before its kernel is
/// published and never again, and a table that grew stays alive for the readers that are still in it.
class KernelTable {
 public:
  KernelTable();
  KernelTable(const KernelTable&) = delete;
  KernelTable& operator=(const KernelTable&) = delete;

  /// A few nanoseconds; safe against concurrent insert.
  const LoadedKernel* find(const KernelKey& key) const noexcept {
    const Slots& slots = *slots_.load(std::memory_order_acquire);
    for (std::size_t i = hash(key);; ++i) {
      const Slot& slot = slots.data[i & slots.mask];
      const LoadedKernel* kernel = slot.kernel.load(std::memory_order_acquire);
      if (kernel == nullptr || slot.key == key) return kernel;
    }
  }
  /// Takes ownership; if the key is already there, the earlier kernel stays and is returned.
  const LoadedKernel& insert(const KernelKey& key, std::unique_ptr<LoadedKernel> kernel);
  std::vector<const LoadedKernel*> all() const;

 private:
  struct Slot {
    std::atomic<const LoadedKernel*> kernel{nullptr};
    KernelKey key;
  };
  struct Slots {
    explicit Slots(std::size_t capacity) : mask(capacity - 1), data(std::make_unique<Slot[]>(capacity)) {}
    std::size_t mask;
    std::unique_ptr<Slot[]> data;
  };

  static std::size_t hash(const KernelKey& key) noexcept {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
    std::uint64_t h = (key.specialisation[0] ^ static_cast<std::uint64_t>(key.kernel) << 32 ^
                       static_cast<std::uint32_t>(key.device)) *
                      kOdd;
    h = (h ^ h >> 32 ^ key.specialisation[1]) * kOdd;
    return static_cast<std::size_t>(h >> 32);
  }
  static void place(Slots& slots, const KernelKey& key, const LoadedKernel* kernel);

  std::atomic<const Slots*> slots_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Slots>> generations_;
  std::vector<std::unique_ptr<LoadedKernel>> kernels_;
};

}  // namespace sprue
