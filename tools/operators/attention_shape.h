// What attention and attention_backward of the command share: keys, inputs, how sequences lie in memory, and
// what the reference on the CPU is given.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operators/operator.h"
#include "reference/attention.h"
#include "sprue/ops.h"

namespace sprue::tools {

/// How sequences of different lengths lie in a tensor: end to end, or each in a row of the longest one's
/// size.
enum class Storage { batch, packed, padded, paged };

struct AttentionShape : reference::AttentionShape {
  Storage q = Storage::batch, k = Storage::batch;
  std::int64_t page_size = 0;
  std::vector<std::int64_t> bias;  ///< Extents; empty: none.
  bool alibi = false, sinks = false, lse = false, batch_invariant = false, portable = false;
  DType dtype = DType::bf16;
};

std::vector<Key> attention_keys();
std::vector<Input> attention_inputs();
std::vector<std::string> attention_cases();
void read_attention_files(const Files& files, bool random, nlohmann::ordered_json& shape);

AttentionShape parse_attention(const Shape& shape);
/// "batch 1, seqlen 8192 x 8192, heads 16 / 16, head_dim 128, causal, bf16"
std::string describe(const AttentionShape& shape);

/// The call without its outputs; makes the inputs.
Attention attention_call(const AttentionShape& shape, Tensors& tensors);
std::vector<std::int64_t> out_extents(const AttentionShape& shape);
std::vector<std::int64_t> lse_extents(const AttentionShape& shape);

/// Tensors as the reference takes them: [batch, longest, ...], 0 where a sequence has no such row.
class AttentionHost {
 public:
  AttentionHost(const AttentionShape& shape, const Tensors& tensors);

  /// Of a tensor that lies as q, or as k, with `width` values in a row.
  std::vector<float> queries(const std::string& name, std::int64_t width) const;
  std::vector<float> keys(const std::string& name, std::int64_t width) const;
  std::vector<float> lse() const;
  reference::AttentionInputs inputs() const;

 private:
  const AttentionShape& shape_;
  const Tensors& tensors_;
  std::vector<float> q_, k_, v_, slopes_, sinks_, bias_;
};

}  // namespace sprue::tools
