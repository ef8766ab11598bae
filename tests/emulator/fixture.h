// What the emulator's own tests share: kernels from CUDA text, memory, launches.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "emulator/launch.h"
#include "support/catch.h"
#include "support/nvrtc.h"

namespace emulator::test {

/// Device memory of elements of type T.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : data_(static_cast<T*>(allocate(count * sizeof(T)))), count_(count) {}
  Array(std::size_t count, T value) : Array(count) { std::fill_n(data_, count, value); }
  ~Array() { release(reinterpret_cast<std::uintptr_t>(data_)); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  T& operator[](std::size_t i) const { return data_[i]; }
  std::vector<T> values() const { return {data_, data_ + count_}; }

 private:
  T* data_;
  std::size_t count_;
};

struct Shape {
  unsigned blocks = 1, threads = 32, shared_bytes = 0, cluster = 1;
  std::uint64_t seed = 0;
};

class Kernel {
 public:
  /// The kernel named "kernel" in CUDA text; it takes one struct. u16, u32, u64, f32 are typedefs there.
  explicit Kernel(const std::string& cuda);

  /// Fault if the kernel does something wrong.
  template <class Params>
  void launch(const Shape& shape, const Params& params) const {
    run(shape, &params, sizeof params);
  }
  /// "" or the fault's message.
  template <class Params>
  std::string fault_of(const Shape& shape, const Params& params) const {
    try {
      launch(shape, params);
      return "";
    } catch (const Fault& fault) {
      return fault.what();
    }
  }

 private:
  void run(const Shape& shape, const void* params, std::size_t bytes) const;
  Program program_;
};

/// Values that differ and that f16 and bf16 hold exactly: -8 to 8 in quarters.
inline float sample(int i) {
  return static_cast<float>((i * 37 + 11) % 65 - 32) / 4.0f;
}

}  // namespace emulator::test
