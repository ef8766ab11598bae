// Workspace: from the caller's allocator, given back with the same size and stream.
#include "runtime/workspace.h"

#include <string>

#include "support/catch.h"

using namespace sprue;

namespace {

/// Writes down its calls; gives out at most 1000 bytes.
struct Caller {
  std::string calls;
  Allocator allocator{[this](std::size_t bytes, Stream) -> void* {
                        calls += '+' + std::to_string(bytes);
                        return bytes <= 1000 ? &calls : nullptr;
                      },
                      [this](void* data, std::size_t bytes, Stream) {
                        calls += data == &calls ? '-' + std::to_string(bytes) : "?";
                      }};
};

}  // namespace

TEST_CASE("memory is taken and given back") {
  Caller caller;
  {
    const Workspace workspace(caller.allocator, 512, nullptr);
    CHECK(workspace.data() == &caller.calls);
    CHECK(workspace.bytes() == 512);
    CHECK(caller.calls == "+512");
  }
  CHECK(caller.calls == "+512-512");
}

TEST_CASE("no bytes are no call") {
  Caller caller;
  CHECK(Workspace(caller.allocator, 0, nullptr).data() == nullptr);
  CHECK(caller.calls.empty());
}

TEST_CASE("no memory left is a CudaError that names the bytes") {
  Caller caller;
  CHECK_THROWS_WITH(Workspace(caller.allocator, 4096, nullptr),
                    "4096 bytes of workspace are needed, but the caller's allocator has no memory left");
  CHECK_THROWS_AS(Workspace(caller.allocator, 4096, nullptr), CudaError);
  CHECK(caller.calls == "+4096+4096");
}

TEST_CASE("a deallocate that throws does not end the process") {
  Caller caller;
  caller.allocator.deallocate = [](void*, std::size_t, Stream) { throw 1; };
  CHECK_NOTHROW(Workspace(caller.allocator, 8, nullptr));
}
