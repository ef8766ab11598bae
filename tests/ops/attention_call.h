// AttentionCall: one call of attention with random tensors on the GPU, and its comparison with the CPU.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "ops/attention_case.h"

namespace sprue::test {

/// The tensors of a case, with its values in the inputs and NaN in the outputs.
using CaseTensors = std::array<std::optional<DeviceTensor>, kSlots>;
CaseTensors tensors_of(const AttentionCase& c, const AttentionValues& values);
Attention args_of(const AttentionCase& c, const CaseTensors& tensors);
/// Where lse[b, h, i] lies among the values of its tensor.
std::size_t lse_index(const AttentionCase& c, const Placement& q_placement, std::int64_t b, std::int64_t h,
                      std::int64_t i);

class AttentionCall {
 public:
  explicit AttentionCall(const AttentionCase& c);

  Attention args() const;
  void run(Runtime& runtime, Stream stream = nullptr);
  /// From now on args() asks for this family of kernels. Neither the tensors nor the truth change.
  void set_portable(bool portable) { case_.portable = portable; }
  void poison();
  /// Compares out, lse and probabilities with the truth, and looks at every row that no sequence has and at
  /// every guard byte. "" or what is wrong.
  std::string fault() const;
  std::vector<std::byte> result_bytes() const;  ///< Of out, then of lse.
  /// Of one sequence: of its rows of out, then of lse.
  std::vector<std::byte> sequence_bytes(std::int64_t b) const;
  /// For every key that a query sees, in turn: whether its probability is negative.
  std::vector<bool> dropped() const;

 private:
  struct Truth {
    reference::AttentionResult result;
    std::vector<float> naive;
  };
  const Truth& truth() const;
  std::string out_fault() const;
  std::string lse_fault() const;
  std::string probabilities_fault() const;
  std::size_t lse_index(std::int64_t b, std::int64_t h, std::int64_t i) const {
    return test::lse_index(case_, q_placement_, b, h, i);
  }

  AttentionCase case_;
  Placement q_placement_, k_placement_;
  AttentionValues values_;
  CaseTensors tensors_;
  std::int64_t tile_ = 0;               ///< Keys per tile of the kernel that ran last, for probabilities.
  mutable std::optional<Truth> truth_;  ///< Computed when it is first needed.
};

/// Runs, waits, compares.
std::string fault_of(Runtime& runtime, const AttentionCase& c);
/// CHECKs each case with the family of kernels that it asks for. Kernels are compiled and cases checked
/// several at a time.
void check_each(Runtime& runtime, const std::vector<AttentionCase>& cases);
/// The same with the kernel that Sprue chooses, and with the portable one where that is another.
void check_all(Runtime& runtime, const std::vector<AttentionCase>& cases);

/// Lists of cases that tests give to check_all with the shared runtime. Once a second list is being checked,
/// the kernels of them all are compiled in the background: a compiler keeps one core busy for seconds, and
/// most tests need but a few kernels.
class Ahead {
 public:
  using List = std::vector<AttentionCase> (*)();
  explicit Ahead(std::initializer_list<List> lists);
};

}  // namespace sprue::test
