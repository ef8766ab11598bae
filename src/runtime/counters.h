// The runtime's counters as atomics, and a stopwatch that adds to one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "sprue/runtime.h"

namespace sprue {

struct AtomicCounters {
  using Count = std::atomic<std::uint64_t>;
  alignas(64) Count launches{0};  // alone on its cache line: the only one that the hot path touches
  alignas(64) Count memory_misses{0};
  Count directory_hits{0}, read_only_hits{0}, compiles{0}, failures{0}, waits{0};
  Count render_ns{0}, compile_ns{0}, load_ns{0};

  static void add(Count& count, std::uint64_t amount = 1) {
    count.fetch_add(amount, std::memory_order_relaxed);
  }

  Counters snapshot() const {
    const auto ms = [](const Count& ns) { return 1e-6 * static_cast<double>(ns.load()); };
    return {launches.load(), memory_misses.load(), directory_hits.load(), read_only_hits.load(),
            compiles.load(), failures.load(),      waits.load(),          ms(render_ns),
            ms(compile_ns),  ms(load_ns)};
  }
};

/// Adds the nanoseconds of its life to a count.
class Stopwatch {
 public:
  explicit Stopwatch(AtomicCounters::Count& ns) : ns_(ns) {}
  ~Stopwatch() {
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    AtomicCounters::add(ns_, static_cast<std::uint64_t>(std::chrono::nanoseconds(elapsed).count()));
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  AtomicCounters::Count& ns_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace sprue
