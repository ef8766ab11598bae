// Kernels: those of kernels.cu, compiled for the current device. All tensors are bf16 but tokens, i32, and
// what AdamW keeps, f32; work goes to the default stream.
#pragma once

#include "driver/module.h"
#include "sprue/runtime.h"
#include "sprue/tensor.h"
#include "training/settings.h"
#include "training/weight.h"

namespace sprue::training {

class Kernels {
 public:
  /// With the NVRTC of the runtime's options.
  explicit Kernels(const Runtime& runtime);

  /// c[m, n] = sum over k of a[m, k] * b[k, n]; c is contiguous, a and b have any strides.
  void matmul(const Tensor& c, const ConstTensor& a, const ConstTensor& b) const;
  /// x[t, :] = table[tokens[t], :]; contiguous, as what follows.
  void embed(const Tensor& x, const ConstTensor& table, const ConstTensor& tokens) const;
  void embed_backward(const Tensor& dtable, const ConstTensor& dx, const ConstTensor& tokens) const;
  /// `step` counts from 1.
  void adamw(Weight& weight, const AdamW& settings, int step) const;

 private:
  explicit Kernels(const std::string& image);
  driver::Module matmul_, embed_, embed_backward_, adamw_;
};

/// The same elements, rows being columns.
ConstTensor transposed(const ConstTensor& matrix);

}  // namespace sprue::training
