// AttentionCall: one call of attention with random tensors on the GPU, and its comparison with the CPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reference/attention.h"
#include "sprue/ops.h"
#include "support/device_tensor.h"

namespace sprue::test {

struct AttentionCase {
  reference::AttentionShape shape = {};
  DType dtype = DType::bf16;
  bool lse = true;
  Layout layout = {};  ///< Of q, k, v and out.
  Layout lse_layout = {};
  float magnitude = 1;  ///< Standard deviation of q.

  std::string print() const;
};

/// The same batch and heads for all: 2 batches, 3 heads.
AttentionCase sequences(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal,
                        DType dtype);

/// A call with the case's shapes and strides and with addresses aligned like its tensors; for prepare() only.
Attention call_of(const AttentionCase& c);

class AttentionCall {
 public:
  explicit AttentionCall(const AttentionCase& c);

  Attention args() const;
  void run(Runtime& runtime, Stream stream = nullptr) { attention(runtime, args(), stream); }
  void poison();
  /// Compares out and lse with the truth, and looks at every guard byte. "" or what is wrong.
  std::string fault() const;
  std::vector<std::byte> result_bytes() const;  ///< Of out, then of lse.

 private:
  AttentionCase case_;
  std::vector<float> q_values_, k_values_, v_values_;
  DeviceTensor q_, k_, v_, out_, lse_;
};

/// Poisons, runs, waits, compares.
std::string fault_of(Runtime& runtime, const AttentionCase& c);
/// Prepares the kernels of all cases in parallel, then CHECKs each.
void check_all(Runtime& runtime, const std::vector<AttentionCase>& cases);

}  // namespace sprue::test
