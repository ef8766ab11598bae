// A call of layer_norm or rms_norm with what comes before and after the norm, and of its gradients, on the
// GPU, beside double precision.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sprue/ops.h"
#include "support/device_tensor.h"

namespace sprue::test {

enum class Gate { none, first, last };

struct NormCase {
  std::vector<std::int64_t> shape = {};  ///< [..., hidden]
  DType dtype = DType::bf16;
  bool centred = true;
  std::optional<DType> weight = DType::bf16, residual = {}, row_scale = {}, column_scale = {}, quantised = {};
  bool bias = true, residual_out = true, zero_centred = false;
  bool in_place = false;  ///< y is x, and residual_out is residual; backward: dx is dy, and so on.
  float x_scale = 1, dropout = 0;
  bool mask = false;  ///< Dropout writes masks, and gradients read them.
  bool x1 = false;
  Gate gate = Gate::none;
  bool two_outputs = false;
  bool row_scales = true;  ///< Of a quantised output; else one of the tensor.
  bool x_rows = false, y_rows = false;
  float mean = 0;  ///< Of x and z.
  Layout layout = {};

  std::int64_t hidden() const { return shape.back(); }
  std::int64_t rows() const { return Extents(shape).elements() / hidden(); }
  std::string print() const;
};

/// What is wrong with the results, "" if nothing is.
std::string forward_fault(Runtime& runtime, const NormCase& given);
std::string backward_fault(Runtime& runtime, const NormCase& given);
/// Which gradient has other bits when the same call is made again, "" if none; not in place.
std::string repetition_fault(Runtime& runtime, const NormCase& given, int repetitions);

/// The kernel and its schedule, as printed.
std::string forward_spec(Runtime& runtime, const NormCase& given);
std::string backward_spec(Runtime& runtime, const NormCase& given);

/// Checks that all of them have none.
void check_each(const std::vector<NormCase>& cases);

}  // namespace sprue::test
