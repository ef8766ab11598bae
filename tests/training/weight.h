// Weight: a parameter as mixed precision keeps it, the master in f32, and bf16 where a matrix is computed
// with.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "support/device_tensor.h"

namespace sprue::training {

/// A parameter before the first step.
struct InitialWeight {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::bf16;  ///< What it is computed with.
  std::vector<float> values;  ///< Not rounded.
};

struct Weight {
  explicit Weight(const InitialWeight& initial);

  test::DeviceTensor master, mean, square;  ///< f32; AdamW's averages of gradients and their squares.
  std::optional<test::DeviceTensor> copy;   ///< The master rounded to bf16; none of a weight that is f32.
  test::DeviceTensor gradient;              ///< Of the dtype that is computed with.

  Tensor used() const { return copy ? copy->tensor() : master.tensor(); }
};

}  // namespace sprue::training
