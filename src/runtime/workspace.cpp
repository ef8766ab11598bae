// Scratch memory: taking it and giving it back.
#include "runtime/workspace.h"

#include <fmt/format.h>

#include "driver/memory.h"

namespace sprue {
namespace {

constexpr int kOutOfMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY

}  // namespace

Workspace::Workspace(const Allocator& allocator, std::size_t bytes, Stream stream)
    : allocator_(allocator), bytes_(bytes), stream_(stream) {
  if (bytes == 0) return;
  data_ = allocator.allocate ? allocator.allocate(bytes, stream) : driver::allocate_async(bytes, stream);
  if (data_ != nullptr) return;
  throw CudaError(fmt::format("{} bytes of workspace are needed, but {} has no memory left", bytes,
                              allocator.allocate ? "the caller's allocator" : "the device"),
                  kOutOfMemory);
}

Workspace::~Workspace() {
  if (data_ == nullptr) return;
  try {
    if (allocator_.deallocate) {
      allocator_.deallocate(data_, bytes_, stream_);
    } else {
      driver::free_async(data_, stream_);
    }
  } catch (...) {  // The launch has been given to the stream: what cannot be given back is lost, not an error
                   // of it.
  }
}

}  // namespace sprue
