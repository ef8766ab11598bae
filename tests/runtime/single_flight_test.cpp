// Single flight: one makes, all get the result or the failure, and nothing is remembered.
#include "runtime/single_flight.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/threads.h"
#include "support/catch.h"

using sprue::SingleFlight;

namespace {

/// `threads` calls for one key; `make` runs when all other threads wait.
template <class Make>
std::vector<std::string> together(SingleFlight<int, int>& flights, int threads, const Make& make) {
  std::atomic<int> waiting{0};
  const auto make_last = [&] {
    while (waiting < threads - 1) std::this_thread::yield();
    return make();
  };
  return in_threads(threads, [&] { return std::to_string(flights.run(7, make_last, [&] { ++waiting; })); });
}

}  // namespace

TEST_CASE("a result is made once and shared") {
  SingleFlight<int, int> flights;
  std::atomic<int> made{0};
  CHECK(together(flights, 8, [&] { return 10 + ++made; }) == std::vector<std::string>(8, "11"));
  CHECK(made == 1);
  CHECK(together(flights, 8, [&] { return 10 + ++made; }) == std::vector<std::string>(8, "12"));
}

TEST_CASE("a failure is made once, delivered to every waiter and forgotten") {
  SingleFlight<int, int> flights;
  std::atomic<int> made{0};
  const auto fail = [&]() -> int { throw std::runtime_error("failure " + std::to_string(++made)); };
  CHECK(together(flights, 8, fail) == std::vector<std::string>(8, "failure 1"));
  CHECK(together(flights, 8, fail) == std::vector<std::string>(8, "failure 2"));
  CHECK(flights.run(
            7, [] { return 1; }, [] {}) == 1);
}

TEST_CASE("different keys do not wait for each other") {
  SingleFlight<int, int> flights;
  const int outer = flights.run(
      1,
      [&] {
        return flights.run(
                   2, [] { return 5; }, [] {}) +
               1;
      },
      [] {});
  CHECK(outer == 6);
}
