// AttentionCall: tensors, call and comparison.
#include "ops/attention_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "driver/device.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "support/catch.h"

namespace sprue::test {
namespace {

/// The kernel that a call gets, or why it gets none.
std::string kernel_of(Runtime& runtime, const Attention& args) {
  try {
    return prepare(runtime, args).spec;
  } catch (const std::exception& error) {
    return error.what();
  }
}

void check_case(Runtime& runtime, AttentionCall& call) {
  const std::string kernel = kernel_of(runtime, call.args());
  INFO(kernel);
  std::string fault;
  try {
    call.poison();
    call.run(runtime);
    driver::synchronize_device();
    fault = call.fault();
  } catch (const std::exception& error) {
    fault = error.what();
  }
  CHECK(fault == "");
}

}  // namespace

AttentionCall::AttentionCall(const AttentionCase& c)
    : case_(c), q_placement_(c.q_placement()), k_placement_(c.k_placement()), values_(c) {
  const TensorSpecs specs = specs_of(c);
  for (int slot = 0; slot < kSlots; ++slot) {
    if (specs[slot]) tensors_[slot].emplace(specs[slot]->dtype, specs[slot]->shape, specs[slot]->layout);
  }
  const auto& s = c.shape;
  tensors_[kQ]->write(scatter(q_placement_, values_.q, s.heads * s.head_dim));
  tensors_[kK]->write(scatter(k_placement_, values_.k, s.kv_heads * s.head_dim));
  tensors_[kV]->write(scatter(k_placement_, values_.v, s.kv_heads * s.head_dim_v));
  const auto write = [&](Slot slot, const std::vector<float>& values) {
    if (tensors_[slot]) tensors_[slot]->write(values);
  };
  write(kSlopes, values_.slopes);
  write(kBias, values_.bias);
  write(kSinks, values_.sinks);
  write(kCuQ, q_placement_.cu_seqlens);
  write(kCuK, k_placement_.cu_seqlens);
  write(kUsedQ, q_placement_.seqused);
  write(kUsedK, k_placement_.seqused);
  write(kTable, k_placement_.block_table);
}

Attention AttentionCall::args() const {
  std::array<Tensor, kSlots> tensors;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (tensors_[slot]) tensors[slot] = tensors_[slot]->tensor();
  }
  return args_of(case_, tensors);
}

void AttentionCall::run(Runtime& runtime, Stream stream) {
  if (case_.probabilities) tile_ = tile_of(prepare(runtime, args()).spec);
  attention(runtime, args(), stream);
}

void AttentionCall::poison() {
  for (const Slot slot : {kOut, kLse, kProbabilities}) {
    if (tensors_[slot]) tensors_[slot]->poison();
  }
}

const AttentionCall::Truth& AttentionCall::truth() const {
  if (!truth_) {
    const reference::AttentionInputs in = values_.inputs(case_);
    truth_ = {reference::attention(case_.shape, in),
              reference::naive_attention(case_.shape, in, case_.dtype)};
  }
  return *truth_;
}

std::string AttentionCall::fault() const {
  std::string faults;
  for (const std::string& fault : {out_fault(), lse_fault(), probabilities_fault()}) {
    if (!fault.empty()) faults += (faults.empty() ? "" : "; ") + fault;
  }
  for (const auto& tensor : tensors_) {
    if (faults.empty() && tensor && !tensor->intact()) faults = "something was written outside of a tensor";
  }
  return faults;
}

std::string AttentionCall::out_fault() const {
  const auto& s = case_.shape;
  const auto out = gather(q_placement_, tensors_[kOut]->read(), s.heads * s.head_dim_v);
  const reference::Comparison comparison = reference::compare(out, truth().result.out, truth().naive);
  if (!comparison.passed()) {
    const std::int64_t at = std::max<std::int64_t>(comparison.where, 0), row = at / s.head_dim_v / s.heads;
    return fmt::format("out: {}: sequence {}, query {}, head {}, channel {}", comparison.print(),
                       row / s.seqlen_q, row % s.seqlen_q, at / s.head_dim_v % s.heads, at % s.head_dim_v);
  }
  return others_untouched(q_placement_, tensors_[kOut]->read_bytes())
             ? ""
             : "out: a row beyond a sequence was written";
}

std::size_t AttentionCall::lse_index(std::int64_t b, std::int64_t h, std::int64_t i) const {
  const auto& s = case_.shape;
  if (!case_.q_storage.packed) return static_cast<std::size_t>((b * s.heads + h) * s.seqlen_q + i);
  return static_cast<std::size_t>(h * q_placement_.count() + q_placement_.rows[b * s.seqlen_q + i]);
}

std::string AttentionCall::lse_fault() const {
  if (!case_.lse) return "";
  const auto& s = case_.shape;
  std::vector<float> values = tensors_[kLse]->read();
  std::vector<float> lse(truth().result.lse.size());
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      for (std::int64_t i = 0; i < s.length_q(b); ++i) {
        const std::size_t at = lse_index(b, h, i);
        lse[static_cast<std::size_t>((b * s.heads + h) * s.seqlen_q + i)] = values[at];
        values[at] = NAN;  // as those are that must not be written
      }
    }
  }
  const double bound = 1e-3 + truth().result.largest_score * (s.softcap != 0 ? 0x1p-11 : 0x1p-21);
  const reference::Comparison comparison = reference::compare(lse, truth().result.lse, bound);
  if (!comparison.passed()) {
    const std::int64_t at = comparison.where;
    return fmt::format("lse: {}: sequence {}, head {}, query {}: {} instead of {}", comparison.print(),
                       at / s.seqlen_q / s.heads, at / s.seqlen_q % s.heads, at % s.seqlen_q, lse[at],
                       truth().result.lse[at]);
  }
  const bool untouched = std::all_of(values.begin(), values.end(), [](float x) { return std::isnan(x); });
  return untouched ? "" : "lse: a row beyond a sequence was written";
}

std::string AttentionCall::probabilities_fault() const {
  if (!case_.probabilities) return "";
  const auto& s = case_.shape;
  const auto expected = reference::attention_probabilities(s, values_.inputs(case_), tile_);
  const auto values = tensors_[kProbabilities]->read();
  // An error of the score multiplies the probability; then it is rounded, below f16's normal numbers
  // absolutely.
  const double largest = truth().result.largest_score;
  const double relative =
      (case_.dtype == DType::f16 ? 0x1p-10 : 0x1p-7) + largest * (s.softcap != 0 ? 0x1p-10 : 0x1p-18);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      for (std::int64_t i = 0; i < q_placement_.reach; ++i) {
        const reference::KeyRange keys = i < s.length_q(b) ? s.visible_keys(b, i) : reference::KeyRange{};
        for (std::int64_t j = 0; j < k_placement_.reach; ++j) {
          const std::int64_t row = (b * s.heads + h) * q_placement_.reach + i;
          const float value = values[static_cast<std::size_t>(row * k_placement_.reach + j)];
          const auto place = [&] {
            return fmt::format("probabilities: sequence {}, head {}, query {}, key {}", b, h, i, j);
          };
          if (j < keys.first || j >= keys.end) {
            if (value != 0 && !std::isnan(value))
              return place() + fmt::format(" is not seen, but has {}", value);
            continue;
          }
          const double truth =
              expected[static_cast<std::size_t>(((b * s.heads + h) * s.seqlen_q + i) * s.seqlen_k + j)];
          if (std::signbit(value) != std::signbit(truth) ||
              !(std::abs(value - truth) <= relative * std::abs(truth) + 0x1p-23)) {
            return place() + fmt::format(" is {} instead of {}", value, truth);
          }
        }
      }
    }
  }
  return "";
}

std::vector<std::byte> AttentionCall::result_bytes() const {
  std::vector<std::byte> bytes = tensors_[kOut]->read_bytes();
  if (!case_.lse) return bytes;
  const std::vector<std::byte> lse = tensors_[kLse]->read_bytes();
  bytes.insert(bytes.end(), lse.begin(), lse.end());
  return bytes;
}

std::vector<std::byte> AttentionCall::sequence_bytes(std::int64_t b) const {
  const auto& s = case_.shape;
  const auto out = tensors_[kOut]->read_bytes();
  const auto width = static_cast<std::size_t>(s.heads * s.head_dim_v) * size_of(case_.dtype);
  const auto lse = case_.lse ? tensors_[kLse]->read_bytes() : std::vector<std::byte>();
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < s.length_q(b); ++i) {
    const auto first =
        out.begin() + static_cast<std::ptrdiff_t>(width) * q_placement_.rows[b * s.seqlen_q + i];
    bytes.insert(bytes.end(), first, first + static_cast<std::ptrdiff_t>(width));
    for (std::int64_t h = 0; case_.lse && h < s.heads; ++h) {
      const auto value = lse.begin() + static_cast<std::ptrdiff_t>(4 * lse_index(b, h, i));
      bytes.insert(bytes.end(), value, value + 4);
    }
  }
  return bytes;
}

std::vector<bool> AttentionCall::dropped() const {
  const auto& s = case_.shape;
  const auto values = tensors_[kProbabilities]->read();
  std::vector<bool> signs;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      for (std::int64_t i = 0; i < s.length_q(b); ++i) {
        const reference::KeyRange keys = s.visible_keys(b, i);
        const std::int64_t first = ((b * s.heads + h) * q_placement_.reach + i) * k_placement_.reach;
        for (std::int64_t j = keys.first; j < keys.end; ++j) {
          signs.push_back(std::signbit(values[static_cast<std::size_t>(first + j)]));
        }
      }
    }
  }
  return signs;
}

std::string fault_of(Runtime& runtime, const AttentionCase& c) {
  AttentionCall call(c);
  call.run(runtime);
  driver::synchronize_device();
  return call.fault();
}

void check_each(Runtime& runtime, const std::vector<AttentionCase>& cases) {
  in_parallel(cases.size(), [&](std::size_t i) { kernel_of(runtime, call_of(cases[i])); });
  for (const AttentionCase& c : cases) {
    INFO(c.print());
    AttentionCall call(c);
    check_case(runtime, call);
  }
}

void check_all(Runtime& runtime, const std::vector<AttentionCase>& cases) {
  std::vector<std::string> kernels(2 * cases.size());
  in_parallel(kernels.size(), [&](std::size_t i) {
    AttentionCase c = cases[i / 2];
    c.portable = i % 2 == 1;
    kernels[i] = kernel_of(runtime, call_of(c));
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    AttentionCall call(cases[i]);
    for (const bool portable : {false, true}) {
      if (portable && kernels[2 * i + 1] == kernels[2 * i]) continue;
      call.set_portable(portable);
      check_case(runtime, call);
    }
  }
}

}  // namespace sprue::test
