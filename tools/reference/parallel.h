// Loops whose rounds are shared among all cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace sprue::reference {

/// Calls body(i) once for every i in [0, count), from several threads; body must not throw.
template <class Body>
void parallel(std::int64_t count, const Body& body) {
  const auto cores = static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    for (std::int64_t i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::thread> others;
  for (std::int64_t t = 1; t < std::min(cores, count); ++t) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

/// Calls body(begin, end) for ranges of [0, count) that are worth a thread; body must not throw.
template <class Body>
void parallel_chunks(std::size_t count, const Body& body) {
  constexpr std::size_t kChunk = std::size_t{1} << 18;
  parallel(static_cast<std::int64_t>((count + kChunk - 1) / kChunk), [&](std::int64_t chunk) {
    const std::size_t begin = static_cast<std::size_t>(chunk) * kChunk;
    body(begin, std::min(begin + kChunk, count));
  });
}

}  // namespace sprue::reference
