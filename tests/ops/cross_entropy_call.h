// A call of cross_entropy as data, its tensors on the GPU, and the comparison with double precision.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reference/cross_entropy.h"
#include "support/device_tensor.h"

namespace sprue::test {

struct CrossEntropyCase {
  std::vector<std::int64_t> shape = {};  ///< [..., classes]
  DType dtype = DType::bf16, label_type = DType::i64;
  LossOptions options = {};
  bool gradient = true;      ///< By the forward call.
  bool in_place = false;     ///< dlogits is logits, forward and backward.
  bool precomputed = false;  ///< lse is given to the forward call.
  Layout layout = {};
  Layout gradient_layout = {};
  float deviation = 2;  ///< Of logits.

  std::int64_t classes() const { return shape.back(); }
  std::int64_t rows() const;
  std::vector<std::int64_t> row_shape() const { return {shape.begin(), shape.end() - 1}; }
  std::string print() const;
};

class CrossEntropyCall {
 public:
  explicit CrossEntropyCall(const CrossEntropyCase& given);

  // What is wrong with the results; nothing if they are right.
  std::string forward_fault(Runtime& runtime);
  std::string backward_fault(Runtime& runtime);
  /// partials of `ranks` ranks, cross_entropy_combine, and the gradients of all ranks.
  std::string split_fault(Runtime& runtime, std::int64_t ranks);

  /// The bytes of all results of the last call.
  std::vector<std::byte> bytes() const;

 private:
  reference::CrossEntropyInputs inputs() const;
  std::vector<float> dloss_of_rows(float dloss) const;
  std::vector<double> reduced(const std::vector<double>& losses) const;
  std::string losses_fault(const reference::CrossEntropyResult<double>& truth) const;
  std::string gradient_fault(const DeviceTensor& dlogits, std::span<const float> dloss) const;

  CrossEntropyCase case_;
  std::vector<float> logit_values_, dloss_values_;
  std::vector<std::int64_t> label_values_;
  std::optional<DeviceTensor> logits_, dlogits_, labels_, loss_, z_loss_, lse_, bad_labels_, dloss_;
};

}  // namespace sprue::test
