// AttentionCase: a call of attention with random tensors, as data: what is computed, and how it lies in
// memory.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "ops/attention_storage.h"
#include "reference/attention.h"
#include "sprue/ops.h"
#include "support/device_tensor.h"

namespace sprue::test {

enum class Slopes { none, per_head, per_sequence };

struct BiasCase {
  bool given = false;
  DType dtype = DType::f32;
  bool same_sequences = false, same_heads = false, same_queries = false;  ///< An extent of 1.
  float hidden = 0;  ///< The share of keys whose bias is -infinity.
};

struct AttentionCase {
  reference::AttentionShape shape = {};
  DType dtype = DType::bf16;
  bool lse = true;
  Layout layout = {};  ///< Of q, k, v and out; another order only where they have 4 dimensions.
  Layout lse_layout = {};
  float magnitude = 1;  ///< Standard deviation of q.
  Storage q_storage = {}, k_storage = {};
  Slopes slopes = Slopes::none;
  float slope = 0.3f;  ///< Standard deviation of slopes, before they become positive.
  BiasCase bias = {};
  bool sinks = false;
  bool probabilities = false;
  bool batch_invariant = false;
  bool portable = false;
  Layout other_layout = {};  ///< Of bias, slopes, sinks and index arrays; no order.
  std::vector<std::uint64_t> identities =
      {};  ///< [batch]: sequences with equal ones have equal values; empty: 0, 1, ...

  std::string print() const;
  Placement q_placement() const;
  Placement k_placement() const;
};

/// The same batch and heads for all: 2 batches, 3 heads.
AttentionCase sequences(std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim, bool causal,
                        DType dtype);

/// The tensors of sprue::Attention.
enum Slot {
  kOut,
  kQ,
  kK,
  kV,
  kLse,
  kSlopes,
  kBias,
  kSinks,
  kProbabilities,
  kCuQ,
  kCuK,
  kUsedQ,
  kUsedK,
  kTable,
  kSlots
};

struct TensorSpec {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape = {};
  Layout layout = {};
};
using TensorSpecs =
    std::array<std::optional<TensorSpec>, kSlots>;  ///< Nothing where a case has no such tensor.
TensorSpecs specs_of(const AttentionCase& c);

Attention args_of(const AttentionCase& c, const std::array<Tensor, kSlots>& tensors);
/// A call with the case's shapes and strides and with addresses aligned like its tensors; for prepare() only.
Attention call_of(const AttentionCase& c);

/// The numbers of a case: q, k and v as the reference takes them, the others as they lie on the device.
struct AttentionValues {
  explicit AttentionValues(const AttentionCase& c);

  std::vector<float> q, k, v, slopes, bias, sinks;
  reference::AttentionInputs inputs(const AttentionCase& c) const;
};

}  // namespace sprue::test
