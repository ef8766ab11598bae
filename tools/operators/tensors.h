// Tensors: those of one call on the current GPU, by name: random, computed on the host, or read from files.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "driver/memory.h"
#include "npy.h"
#include "sprue/tensor.h"

namespace sprue::tools {

/// Normal values times `deviation` on the current GPU; beyond the first few million they repeat.
driver::DeviceBuffer random_buffer(std::int64_t elements, DType dtype, std::uint64_t seed,
                                   float deviation = 1);

/// Inputs that files give, by name.
using Files = std::map<std::string, HostTensor>;

class Tensors {
 public:
  explicit Tensors(std::uint64_t seed = 1, const Files* files = nullptr) : seed_(seed), files_(files) {}

  // Inputs. What a file gives is used instead, as it is.
  /// Normal values times `deviation`.
  ConstTensor input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                    float deviation = 1);
  ConstTensor input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                    const std::vector<float>& values);

  /// NaN until something is written.
  Tensor output(const std::string& name, DType dtype, const Extents& extents);
  Tensor output(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
    return output(name, dtype, Extents(shape));
  }

  /// What one call writes and another reads: not an output.
  Tensor scratch(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape);

  bool has(const std::string& name) const;
  /// What the GPU has now; nothing if there is no such tensor. Waits for the default stream alone.
  std::vector<float> values(const std::string& name) const;
  HostTensor read(const std::string& name) const;
  std::vector<std::string> outputs() const;

  /// Fills the outputs with NaN.
  void poison();
  /// All of them together.
  double bytes() const;

 private:
  struct Entry {
    std::string name;
    bool output = false;
    Tensor tensor;
    driver::DeviceBuffer buffer;
  };
  const Entry* find(const std::string& name) const;
  const Tensor& add(const std::string& name, const HostTensor& host);

  std::uint64_t seed_;
  const Files* files_;
  std::deque<Entry> entries_;
};

}  // namespace sprue::tools
