// The hot-path table: found is found, under growth and from several threads.
#include "runtime/kernel_table.h"

#include <atomic>
#include <set>
#include <thread>

#include "codegen/manifest.h"
#include "support/catch.h"

using namespace sprue;

namespace {

KernelKey key(std::uint64_t i) {
  return {kernel_id("rms_norm"), static_cast<std::int32_t>(i % 8), {i / 8, i % 3}};
}

std::unique_ptr<LoadedKernel> kernel(std::uint64_t i) {
  auto made = std::make_unique<LoadedKernel>();
  made->device = static_cast<int>(i);
  return made;
}

}  // namespace

TEST_CASE("an empty table finds nothing") {
  const KernelTable table;
  CHECK(table.find(key(0)) == nullptr);
  CHECK(table.all().empty());
}

TEST_CASE("every part of a key tells kernels apart") {
  const KernelKey base{1, 2, {3, 4}};
  for (const KernelKey& other :
       {KernelKey{9, 2, {3, 4}}, KernelKey{1, 9, {3, 4}}, KernelKey{1, 2, {9, 4}}, KernelKey{1, 2, {3, 9}}}) {
    KernelTable table;
    table.insert(base, kernel(1));
    CHECK(table.find(other) == nullptr);
    table.insert(other, kernel(2));
    CHECK(table.find(base)->device == 1);
    CHECK(table.find(other)->device == 2);
  }
}

TEST_CASE("the first kernel of a key stays") {
  KernelTable table;
  const LoadedKernel& first = table.insert(key(0), kernel(1));
  CHECK(&table.insert(key(0), kernel(2)) == &first);
  CHECK(table.find(key(0)) == &first);
  CHECK(table.all() == std::vector<const LoadedKernel*>{&first});
}

TEST_CASE("kernels are found while others are inserted and the table grows") {
  constexpr int kKernels = 5000;
  KernelTable table;
  std::atomic<int> inserted{0}, wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      for (int known = 0; known < kKernels;) {
        known = inserted.load(std::memory_order_acquire);
        for (int i = std::max(0, known - 200); i < known; ++i) {
          const LoadedKernel* found = table.find(key(i));
          if (found == nullptr || found->device != i) ++wrong;
        }
        if (const LoadedKernel* ahead = table.find(key(known)); ahead != nullptr && ahead->device != known)
          ++wrong;
      }
    });
  }
  for (int i = 0; i < kKernels; ++i) {
    table.insert(key(i), kernel(i));
    inserted.store(i + 1, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(table.all().size() == kKernels);
}

TEST_CASE("several writers agree on one kernel per key") {
  KernelTable table;
  std::vector<std::thread> writers;
  std::atomic<int> wrong{0};
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const LoadedKernel& mine = table.insert(key(i), kernel(i));
        if (mine.device != i || table.find(key(i)) != &mine) ++wrong;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(wrong == 0);
  CHECK(table.all().size() == 500);
}

TEST_CASE("no two shipped kernels share an id") {
  std::set<std::uint32_t> ids;
  const auto manifests = codegen::manifests(codegen::TemplateStore::embedded());
  for (const codegen::Manifest& manifest : manifests) ids.insert(kernel_id(manifest.kernel));
  CHECK(ids.size() == manifests.size());
}
