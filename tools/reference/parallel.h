// parallel: a loop whose rounds are shared among all cores.
#pragma once

#include <algorithm>
#include <atomic>
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

}  // namespace sprue::reference
