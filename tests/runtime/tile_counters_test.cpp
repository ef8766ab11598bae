// TileCounters: one counter per stream, one per captured launch, none for a device that has none.
#include "runtime/tile_counters.h"

#include "runtime/fake_cuda.h"
#include "support/catch.h"

using namespace sprue;

namespace {

Stream stream(std::uintptr_t handle) {
  return reinterpret_cast<Stream>(handle);
}

struct Fake {
  Fake() {
    fake_cuda = {};
    fake_cuda_set_device(0);
  }
};

}  // namespace

TEST_CASE("tile counters: launches of one stream share a counter, other streams have others") {
  const Fake fake;
  TileCounters counters;
  counters.reserve(0);
  std::uint32_t* const first = counters.take(0, stream(16));
  REQUIRE(first != nullptr);
  CHECK(counters.take(0, stream(16)) == first);
  CHECK(counters.take(0, stream(32)) != first);
  CHECK(counters.take(0, nullptr) != first);
  CHECK(counters.take(0, nullptr) == counters.take(0, nullptr));
}

TEST_CASE("tile counters: every captured launch has its own") {
  const Fake fake;
  TileCounters counters;
  counters.reserve(0);
  std::uint32_t* const direct = counters.take(0, stream(16));
  fake_cuda.capturing = true;
  std::uint32_t* const captured = counters.take(0, stream(16));
  CHECK(captured != direct);
  CHECK(counters.take(0, stream(16)) != captured);
  fake_cuda.capturing = false;
  CHECK(counters.take(0, stream(16)) == direct);
}

TEST_CASE("tile counters: without counters, or when all are taken, there is none") {
  const Fake fake;
  TileCounters counters;
  fake_cuda.capturing = true;
  counters.reserve(0);
  CHECK(counters.take(0, stream(16)) == nullptr);
  fake_cuda.capturing = false;
  REQUIRE(counters.take(0, stream(16)) != nullptr);
  fake_cuda.capturing = true;
  while (counters.take(0, stream(16)) != nullptr) {
  }
  fake_cuda.capturing = false;
  CHECK(counters.take(0, stream(16)) != nullptr);
  CHECK(counters.take(0, stream(48)) == nullptr);
}
