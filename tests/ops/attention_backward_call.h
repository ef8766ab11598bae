// AttentionBackwardCall: one call of attention_backward with random tensors on the GPU, and its comparison
// with the CPU.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/attention_call.h"
#include "reference/attention_backward.h"

namespace sprue::test {

/// A call of attention with its gradients, as data. Gradients lie in memory as what they are gradients of.
struct AttentionBackwardCase {
  AttentionCase forward = {};
  bool dbias = false, dslopes = false, dsinks = false;
  bool bias_gradient_is_f32 = true;  ///< Else of the dtype of q.
  bool deterministic = false;
  bool own_workspace = false;  ///< The caller's; else the allocator's.
  /// dq, dk and dv are slices of one tensor [..., heads + 2 kv_heads, head_dim]: q and k lie alike, and
  /// values have the channels of keys.
  bool packed_gradients = false;
  bool after_forward = false;  ///< out and lse are those of attention(); else exact.

  std::string print() const;
};

/// With every gradient that its features allow.
AttentionBackwardCase all_gradients(const AttentionCase& forward);

class AttentionBackwardCall {
 public:
  explicit AttentionBackwardCall(const AttentionBackwardCase& c);

  AttentionBackward args() const;
  /// From now on args() asks for this family of kernels.
  void set_portable(bool portable) { case_.forward.portable = portable; }
  void set_deterministic(bool deterministic) { case_.deterministic = deterministic; }
  /// Of outputs and of a workspace of the caller's, which must be done before the first run.
  void poison(Runtime& runtime);
  void run(Runtime& runtime, Stream stream = nullptr);
  /// Compares all gradients with the truth, and looks at every row that no sequence has and at every guard
  /// byte.
  /// "" or what is wrong.
  std::string fault() const;
  std::vector<std::byte> result_bytes() const;  ///< Of all gradients.
  std::vector<float> dv_values() const { return values_of(kDv); }

 private:
  enum Gradient { kDq, kDk, kDv, kDbias, kDslopes, kDsinks, kGradients };

  Tensor gradient_tensor(Gradient gradient) const;
  std::vector<float> values_of(Gradient gradient) const;
  std::vector<std::byte> bytes_of(Gradient gradient) const;
  /// The elements of dq, dk or dv among rows of the tensor that they are slices of.
  template <class T>
  std::vector<T> slice_of(Gradient gradient, const std::vector<T>& rows, std::int64_t per_element) const;
  std::string fault_of_rows(Gradient gradient, const char* name, const Placement& placement,
                            std::int64_t heads, std::int64_t channels, std::span<const double> truth,
                            std::span<const float> naive) const;

  AttentionBackwardCase case_;
  Placement q_placement_, k_placement_;
  AttentionValues values_;
  std::vector<float> out_values_, dout_values_;
  CaseTensors tensors_;
  std::optional<DeviceTensor> dout_;
  std::array<std::optional<DeviceTensor>, kGradients> gradients_;
  std::optional<DeviceTensor> packed_;  ///< Holds dq, dk and dv if they are slices of it.
  driver::DeviceBuffer workspace_;
};

/// CHECKs each case, with the kernels that Sprue chooses, the portable ones, and those of deterministic
/// calls. Kernels are compiled and cases checked several at a time.
void check_gradients(Runtime& runtime, const std::vector<AttentionBackwardCase>& cases);

}  // namespace sprue::test
