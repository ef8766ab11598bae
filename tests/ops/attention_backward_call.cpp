// AttentionBackwardCall: tensors, call and comparison.
#include "ops/attention_backward_call.h"

#include <fmt/format.h>

#include <cmath>

#include "driver/device.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "support/catch.h"

namespace sprue::test {
namespace {

AttentionBackwardCase with_lse(AttentionBackwardCase c) {
  c.forward.lse = true;
  return c;
}

}  // namespace

std::string AttentionBackwardCase::print() const {
  return fmt::format("{}{}{}{}{}{}{}{}", forward.print(), dbias ? ", dbias" : "", dslopes ? ", dslopes" : "",
                     dsinks ? ", dsinks" : "", deterministic ? ", deterministic" : "",
                     own_workspace ? ", own workspace" : "", packed_gradients ? ", packed gradients" : "",
                     after_forward ? ", after forward" : "");
}

AttentionBackwardCase all_gradients(const AttentionCase& forward) {
  return {.forward = forward,
          .dbias = forward.bias.given,
          .dslopes = forward.slopes != Slopes::none,
          .dsinks = forward.sinks};
}

AttentionBackwardCall::AttentionBackwardCall(const AttentionBackwardCase& given)
    : case_(with_lse(given)),
      q_placement_(case_.forward.q_placement()),
      k_placement_(case_.forward.k_placement()),
      values_(case_.forward),
      tensors_(tensors_of(case_.forward, values_)) {
  const AttentionCase& c = case_.forward;
  const auto& s = c.shape;
  // What the forward call wrote, as it would be if it were exact.
  const reference::AttentionResult result = reference::attention(s, values_.inputs(c));
  for (const double x : result.out) out_values_.push_back(reference::rounded(static_cast<float>(x), c.dtype));
  tensors_[kOut]->write(scatter(q_placement_, out_values_, s.heads * s.head_dim_v));
  std::vector<float> lse = tensors_[kLse]->read();
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      for (std::int64_t i = 0; i < s.length_q(b); ++i) {
        lse[lse_index(c, q_placement_, b, h, i)] =
            static_cast<float>(result.lse[static_cast<std::size_t>((b * s.heads + h) * s.seqlen_q + i)]);
      }
    }
  }
  tensors_[kLse]->write(lse);

  dout_values_ = reference::random_normal(s.out_elements(), 9, c.dtype);
  const TensorSpecs specs = specs_of(c);
  const auto like = [&](const TensorSpec& spec) { return DeviceTensor(spec.dtype, spec.shape, spec.layout); };
  dout_.emplace(like(*specs[kOut]));
  dout_->write(scatter(q_placement_, dout_values_, s.heads * s.head_dim_v));
  if (case_.packed_gradients) {
    TensorSpec spec = *specs[kQ];
    *(spec.shape.end() - 2) = s.heads + 2 * s.kv_heads;
    packed_.emplace(like(spec));
  } else {
    gradients_[kDq].emplace(like(*specs[kQ]));
    gradients_[kDk].emplace(like(*specs[kK]));
    gradients_[kDv].emplace(like(*specs[kV]));
  }
  if (case_.dbias) {
    TensorSpec spec = *specs[kBias];
    spec.dtype = case_.bias_gradient_is_f32 ? DType::f32 : c.dtype;
    gradients_[kDbias].emplace(like(spec));
  }
  if (case_.dslopes) gradients_[kDslopes].emplace(like(*specs[kSlopes]));
  if (case_.dsinks) gradients_[kDsinks].emplace(like(*specs[kSinks]));
}

template <class T>
std::vector<T> AttentionBackwardCall::slice_of(Gradient gradient, const std::vector<T>& rows,
                                               std::int64_t per_element) const {
  const auto& s = case_.forward.shape;
  const std::int64_t head = s.head_dim * per_element, width = (s.heads + 2 * s.kv_heads) * head;
  const std::int64_t first = (gradient == kDq ? 0 : s.heads + (gradient == kDv ? s.kv_heads : 0)) * head;
  const std::int64_t count = (gradient == kDq ? s.heads : s.kv_heads) * head;
  std::vector<T> slice;
  for (auto row = rows.begin(); row != rows.end(); row += width)
    slice.insert(slice.end(), row + first, row + first + count);
  return slice;
}

Tensor AttentionBackwardCall::gradient_tensor(Gradient gradient) const {
  if (gradients_[gradient] || !packed_) return gradients_[gradient]->tensor();
  const auto& s = case_.forward.shape;
  Tensor slice = packed_->tensor();
  const auto heads = static_cast<std::size_t>(slice.extents.rank - 2);
  const std::int64_t first = gradient == kDq ? 0 : s.heads + (gradient == kDv ? s.kv_heads : 0);
  slice.data = static_cast<std::byte*>(slice.data) +
               first * slice.extents.stride[heads] * static_cast<std::int64_t>(size_of(slice.dtype));
  slice.extents.shape[heads] = gradient == kDq ? s.heads : s.kv_heads;
  return slice;
}

std::vector<float> AttentionBackwardCall::values_of(Gradient gradient) const {
  return gradients_[gradient] ? gradients_[gradient]->read() : slice_of(gradient, packed_->read(), 1);
}

std::vector<std::byte> AttentionBackwardCall::bytes_of(Gradient gradient) const {
  if (gradients_[gradient]) return gradients_[gradient]->read_bytes();
  return slice_of(gradient, packed_->read_bytes(), static_cast<std::int64_t>(size_of(case_.forward.dtype)));
}

AttentionBackward AttentionBackwardCall::args() const {
  AttentionBackward args{.dq = gradient_tensor(kDq),
                         .dk = gradient_tensor(kDk),
                         .dv = gradient_tensor(kDv),
                         .dout = dout_->tensor(),
                         .forward = args_of(case_.forward, tensors_),
                         .deterministic = case_.deterministic};
  if (case_.dbias) args.dbias = gradients_[kDbias]->tensor();
  if (case_.dslopes) args.dslopes = gradients_[kDslopes]->tensor();
  if (case_.dsinks) args.dsinks = gradients_[kDsinks]->tensor();
  if (workspace_.bytes() != 0) {
    args.workspace = workspace_.data();
    args.workspace_bytes = workspace_.bytes();
  }
  return args;
}

void AttentionBackwardCall::poison(Runtime& runtime) {
  if (case_.own_workspace) {
    const std::size_t bytes = attention_backward_workspace_bytes(runtime, args());
    if (bytes != workspace_.bytes()) workspace_ = driver::DeviceBuffer(bytes);
    workspace_.fill(0xff);
  }
  for (auto& gradient : gradients_) {
    if (gradient) gradient->poison();
  }
  if (packed_) packed_->poison();
  for (const Slot slot : {kOut, kLse}) {
    if (case_.after_forward) tensors_[slot]->poison();
  }
}

void AttentionBackwardCall::run(Runtime& runtime, Stream stream) {
  if (case_.after_forward) attention(runtime, args().forward, stream);
  attention_backward(runtime, args(), stream);
}

std::string AttentionBackwardCall::fault_of_rows(Gradient gradient, const char* name,
                                                 const Placement& placement, std::int64_t heads,
                                                 std::int64_t channels, std::span<const double> truth,
                                                 std::span<const float> naive) const {
  const auto values = gather(placement, values_of(gradient), heads * channels);
  const reference::Comparison comparison = reference::compare_gradient(values, truth, naive);
  if (!comparison.passed()) {
    const auto at = static_cast<std::size_t>(std::max<std::int64_t>(comparison.where, 0));
    const auto width = static_cast<std::size_t>(channels), row = at / width;
    return fmt::format("{}: {}: row {}, head {}, channel {}: {} instead of {}", name, comparison.print(),
                       row / static_cast<std::size_t>(heads), row % static_cast<std::size_t>(heads),
                       at % width, values[at], truth[at]);
  }
  return others_untouched(placement, bytes_of(gradient))
             ? ""
             : fmt::format("{}: a row beyond a sequence was written", name);
}

std::string AttentionBackwardCall::fault() const {
  const AttentionCase& c = case_.forward;
  const auto& s = c.shape;
  const reference::AttentionInputs in = values_.inputs(c);
  const auto out = case_.after_forward ? gather(q_placement_, tensors_[kOut]->read(), s.heads * s.head_dim_v)
                                       : out_values_;
  const reference::OutputGradients outputs{dout_values_, out};
  const auto truth = reference::attention_backward(s, in, outputs);
  const auto naive = reference::naive_attention_backward(s, in, outputs, c.dtype);
  std::string faults;
  const auto add = [&](const std::string& fault) {
    if (!fault.empty()) faults += (faults.empty() ? "" : "; ") + fault;
  };
  add(fault_of_rows(kDq, "dq", q_placement_, s.heads, s.head_dim, truth.dq, naive.dq));
  add(fault_of_rows(kDk, "dk", k_placement_, s.kv_heads, s.head_dim, truth.dk, naive.dk));
  add(fault_of_rows(kDv, "dv", k_placement_, s.kv_heads, s.head_dim_v, truth.dv, naive.dv));
  const auto compare = [&](Gradient gradient, const char* name, std::span<const double> expected,
                           std::span<const float> first_attempt) {
    if (!gradients_[gradient]) return;
    const auto comparison =
        reference::compare_gradient(gradients_[gradient]->read(), expected, first_attempt);
    if (!comparison.passed()) add(fmt::format("{}: {}", name, comparison.print()));
  };
  compare(kDbias, "dbias", truth.dbias, naive.dbias);
  compare(kDslopes, "dslopes", truth.dslopes, naive.dslopes);
  compare(kDsinks, "dsinks", truth.dsinks, naive.dsinks);
  for (const auto& gradient : gradients_) {
    if (gradient && !gradient->intact()) add("something was written outside of a gradient");
  }
  if (packed_ && !packed_->intact()) add("something was written outside of the packed gradients");
  return faults;
}

std::vector<std::byte> AttentionBackwardCall::result_bytes() const {
  std::vector<std::byte> bytes = packed_ ? packed_->read_bytes() : std::vector<std::byte>();
  for (const auto& gradient : gradients_) {
    if (!gradient) continue;
    const auto some = gradient->read_bytes();
    bytes.insert(bytes.end(), some.begin(), some.end());
  }
  return bytes;
}

namespace {

/// Runs and compares with the kernels that Sprue chooses and, where those are others, with the portable ones,
/// and those of deterministic calls.
std::string faults_of(Runtime& runtime, const AttentionBackwardCase& c) {
  AttentionBackwardCall call(c);
  std::string faults, chosen;
  for (int kind = 0; kind < 3; ++kind) {
    call.set_portable(kind > 0 || c.forward.portable);
    call.set_deterministic(kind > 1 || c.deterministic);
    const std::string kernel = prepare(runtime, call.args()).kernel;
    if (kernel == chosen) continue;
    chosen = kernel;
    call.poison(runtime);
    call.run(runtime);
    driver::synchronize_device();
    if (const std::string fault = call.fault(); !fault.empty()) faults += kernel + ": " + fault + "; ";
  }
  return faults;
}

}  // namespace

void check_gradients(Runtime& runtime, const std::vector<AttentionBackwardCase>& cases) {
  std::vector<std::string> faults(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    try {
      faults[i] = faults_of(runtime, cases[i]);
    } catch (const std::exception& error) {
      faults[i] = error.what();
    }
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(faults[i] == "");
  }
}

}  // namespace sprue::test
