// Device memory, streams and events.
#include "driver/memory.h"

#include <cstdint>
#include <string>

#include "driver/device.h"
#include "driver/stream.h"
#include "sprue/error.h"
#include "support/gpu.h"

using namespace sprue;
using namespace sprue::driver;

TEST_CASE("what is copied to a buffer comes back", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceBuffer buffer(1000);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256 == 0);
  buffer.fill('x');
  buffer.copy_from_host("abc", 3);
  std::string back(1000, '\0');
  buffer.copy_to_host(back.data(), back.size());
  CHECK(back == "abc" + std::string(997, 'x'));

  DeviceBuffer moved = std::move(buffer);
  CHECK(buffer.data() == nullptr);
  moved.copy_to_host(back.data(), 2);
  CHECK(back.substr(0, 3) == "abc");
  moved = DeviceBuffer(8);
  CHECK(moved.bytes() == 8);
}

TEST_CASE("copies beyond the end of a buffer are refused", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceBuffer buffer(8);
  char bytes[9] = {};
  CHECK_THROWS_WITH(buffer.copy_from_host(bytes, 9), "a copy must be at most the buffer's 8 bytes, but is 9");
  CHECK_THROWS_AS(buffer.copy_to_host(bytes, 9), ArgumentError);
}

TEST_CASE("an empty buffer is no error", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceBuffer buffer(0);
  buffer.fill(1);
  buffer.copy_from_host(nullptr, 0);
  CHECK(buffer.data() == nullptr);
}

TEST_CASE("too much memory is an error that says how much", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  CHECK_THROWS_WITH(
      DeviceBuffer(std::size_t{1} << 46),
      StartsWith("cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY (2)") && Contains("70368744177664 bytes"));
}

TEST_CASE("scratch memory is ordered on a stream", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const StreamHandle stream;
  void* const first = allocate_async(1 << 20, stream);
  REQUIRE(first != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(first) % 256 == 0);
  free_async(first, stream);
  void* const second = allocate_async(1 << 20, stream);
  CHECK(second == first);
  free_async(second, stream);
  CHECK(allocate_async(std::size_t{1} << 46, stream) == nullptr);
  synchronize(stream);
}

TEST_CASE("events measure time", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const StreamHandle stream;
  Event begin, end;
  begin.record(stream);
  end.record(stream);
  const double ms = elapsed_ms(begin, end);
  CHECK(ms >= 0);
  CHECK(ms < 1000);
}
