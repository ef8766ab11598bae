// What the GPU tests of operators share: a cache directory, runtimes, and kernels built in parallel.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "codegen/manifest.h"
#include "codegen/tuned.h"
#include "driver/device.h"
#include "runtime/runtime_impl.h"
#include "sprue/ops.h"

namespace sprue::test {

/// Removed when the process ends.
const std::filesystem::path& scratch_directory();

/// The environment decides about nothing but the compiler; kernels are kept in scratch_directory().
RuntimeOptions test_options();
/// One for all test cases. Never destroyed, so that it does not outlive the driver.
Runtime& shared_runtime();

/// Calls body(i) for i in [0, count), a thread per core; the first exception is thrown again.
template <class Body>
void in_parallel(std::size_t count, const Body& body) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  for (std::size_t t = 0; t < std::min(cores, count); ++t) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

/// Compiles and loads the kernels of all these calls, several at a time.
template <class Args>
void prepare_all(Runtime& runtime, const std::vector<Args>& calls) {
  in_parallel(calls.size(), [&](std::size_t i) { prepare(runtime, calls[i]); });
}

/// What a kernel's printed spec says: "attention_portable CAUSAL=true ... | BLOCK_M=128 ...".
KernelSpec spec_of(const std::string& text);
/// Keys per tile of an attention kernel, BLOCK_N of its printed spec.
std::int64_t tile_of(const std::string& spec);

/// A runtime that gives this problem this schedule.
RuntimeOptions with_schedule(const std::string& kernel, const Values& problem, const Values& schedule);

/// Legal schedules of a problem on the current GPU: all of them, or `most` among which every two values of
/// every two parameters meet, as far as so few can.
std::vector<Values> schedules_of(const std::string& kernel, const Values& problem,
                                 std::size_t most = SIZE_MAX);
/// Those, each compiled into the shared cache.
std::vector<Values> built_schedules(const std::string& kernel, const Values& problem,
                                    std::size_t most = SIZE_MAX);
/// Compiles them into the shared cache.
void build_all(const std::vector<KernelSpec>& specs);

}  // namespace sprue::test
