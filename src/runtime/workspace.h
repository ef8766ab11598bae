// Workspace: scratch memory for one launch, from the caller's allocator or the driver's stream-ordered one.
#pragma once

#include <cstddef>

#include "sprue/runtime.h"

namespace sprue {

/// Owns the memory; gives it back in stream order, so it may die right after the launch that uses it.
class Workspace {
 public:
  /// CudaError that names the bytes when there is not enough memory. 0 bytes take nothing. The allocator must
  /// outlive it.
  Workspace(const Allocator& allocator, std::size_t bytes, Stream stream);
  Workspace(Allocator&&, std::size_t, Stream) = delete;
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  const Allocator& allocator_;
  const std::size_t bytes_;
  const Stream stream_;
  void* data_ = nullptr;
};

}  // namespace sprue
