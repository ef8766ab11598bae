// AttentionCall: tensors, call and comparison.
#ifndef SPRUE_CATCH_V3
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // listeners
#endif
#include "ops/attention_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "driver/device.h"
#include "ops/attention_problem.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "support/catch.h"
#ifdef SPRUE_CATCH_V3
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#endif

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

AttentionProblem problem_of(const AttentionCase& c) {
  const Attention args = call_of(c);
  const AttentionLayout layout(args);
  return specialise(args, layout, AttentionViews(args), attention_arguments(args, layout));
}

AttentionCase with_family(AttentionCase c, bool portable) {
  c.portable = portable;
  return c;
}

/// Compiles into the runtime's cache what the lists need, list after list, and loads nothing. What is left
/// when it is destroyed is not compiled.
class Background {
 public:
  Background(Runtime& runtime, const std::vector<Ahead::List>& lists)
      : impl_(runtime.impl()), device_(driver::device_info(driver::current_device()).architecture) {
    for (const Ahead::List list : lists) {
      for (const AttentionCase& c : list()) {
        for (const bool portable : {false, true}) cases_.push_back(with_family(c, portable));
      }
    }
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned t = 0; t < cores; ++t) threads_.emplace_back([this] { work(); });
  }
  ~Background() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  void work() {
    for (std::size_t i = next_++; i < cases_.size() && !stop_; i = next_++) {
      try {
        build(problem_of(cases_[i]));
      } catch (const std::exception&) {  // the test will say so
      }
    }
  }
  void build(const AttentionProblem& problem) {
    const KernelKey key = problem.key(0);
    {
      const std::lock_guard lock(mutex_);
      if (!seen_.insert(key).second) return;
    }
    Request request = problem.request(kAttentionSm90);
    if (!problem.sm90 || !impl_.admits(request, device_)) request = problem.request(kAttentionPortable);
    const Architecture arch = impl_.target(impl_.manifest(request.kernel), device_);
    impl_.build(impl_.specify(request, arch), arch, [this] { return stop_.load(); });
  }

  RuntimeImpl& impl_;
  const Architecture device_;
  std::vector<AttentionCase> cases_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::set<KernelKey> seen_;
  std::vector<std::thread> threads_;
};

std::vector<Ahead::List>& lists_ahead() {
  static std::vector<Ahead::List> lists;
  return lists;
}

std::unique_ptr<Background> background;

void compile_ahead(Runtime& runtime) {
  static int lists = 0;
  if (&runtime == &shared_runtime() && ++lists == 2)
    background = std::make_unique<Background>(runtime, lists_ahead());
}

/// Ends it before the compiler's library destroys what the compiler needs.
#ifdef SPRUE_CATCH_V3
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif
struct EndOfRun : Listener {
  using Listener::Listener;
  void testRunEnded(const Catch::TestRunStats&) override { background.reset(); }
};
CATCH_REGISTER_LISTENER(EndOfRun)

struct Checked {
  std::string kernel, fault;
};

Checked check_case(Runtime& runtime, AttentionCall& call) {
  Checked checked{kernel_of(runtime, call.args()), ""};
  try {
    call.poison();
    call.run(runtime);
    driver::synchronize_device();
    checked.fault = call.fault();
  } catch (const std::exception& error) {
    checked.fault = error.what();
  }
  return checked;
}

/// Prepares each kernel once: the others of its cases would but wait for it.
std::vector<AttentionCase> distinct(const std::vector<AttentionCase>& cases,
                                    const std::vector<bool>& portable) {
  std::set<KernelKey> seen;
  std::vector<AttentionCase> result;
  for (const AttentionCase& c : cases) {
    for (const bool family : portable) {
      const AttentionCase changed = with_family(c, c.portable || family);
      if (seen.insert(problem_of(changed).key(0)).second) result.push_back(changed);
    }
  }
  return result;
}

void check(Runtime& runtime, const std::vector<AttentionCase>& cases, const std::vector<bool>& families) {
  const std::vector<AttentionCase> kernels = distinct(cases, families);
  std::vector<std::vector<Checked>> checked(cases.size());
  in_parallel(kernels.size() + cases.size(), [&](std::size_t i) {
    if (i < kernels.size()) {
      kernel_of(runtime, call_of(kernels[i]));
      return;
    }
    const std::size_t n = i - kernels.size();
    AttentionCall call(cases[n]);
    for (const bool portable : families) {
      call.set_portable(cases[n].portable || portable);
      if (checked[n].empty() || kernel_of(runtime, call.args()) != checked[n].front().kernel)
        checked[n].push_back(check_case(runtime, call));
    }
  });
  for (std::size_t n = 0; n < cases.size(); ++n) {
    INFO(cases[n].print());
    for (const auto& [kernel, fault] : checked[n]) {
      INFO(kernel);
      CHECK(fault == "");
    }
  }
}

}  // namespace

CaseTensors tensors_of(const AttentionCase& c, const AttentionValues& values) {
  CaseTensors tensors;
  const TensorSpecs specs = specs_of(c);
  for (int slot = 0; slot < kSlots; ++slot) {
    if (specs[slot]) tensors[slot].emplace(specs[slot]->dtype, specs[slot]->shape, specs[slot]->layout);
  }
  const auto& s = c.shape;
  const Placement q = c.q_placement(), k = c.k_placement();
  tensors[kQ]->write(scatter(q, values.q, s.heads * s.head_dim));
  tensors[kK]->write(scatter(k, values.k, s.kv_heads * s.head_dim));
  tensors[kV]->write(scatter(k, values.v, s.kv_heads * s.head_dim_v));
  const auto write = [&](Slot slot, const std::vector<float>& values) {
    if (tensors[slot]) tensors[slot]->write(values);
  };
  write(kSlopes, values.slopes);
  write(kBias, values.bias);
  write(kSinks, values.sinks);
  write(kCuQ, q.cu_seqlens);
  write(kCuK, k.cu_seqlens);
  write(kUsedQ, q.seqused);
  write(kUsedK, k.seqused);
  write(kTable, k.block_table);
  return tensors;
}

Attention args_of(const AttentionCase& c, const CaseTensors& tensors) {
  std::array<Tensor, kSlots> given;
  for (int slot = 0; slot < kSlots; ++slot) {
    if (tensors[slot]) given[slot] = tensors[slot]->tensor();
  }
  return args_of(c, given);
}

std::size_t lse_index(const AttentionCase& c, const Placement& q_placement, std::int64_t b, std::int64_t h,
                      std::int64_t i) {
  const auto& s = c.shape;
  if (!c.q_storage.packed) return static_cast<std::size_t>((b * s.heads + h) * s.seqlen_q + i);
  return static_cast<std::size_t>(h * q_placement.count() + q_placement.rows[b * s.seqlen_q + i]);
}

AttentionCall::AttentionCall(const AttentionCase& c)
    : case_(c),
      q_placement_(c.q_placement()),
      k_placement_(c.k_placement()),
      values_(c),
      tensors_(tensors_of(c, values_)) {}

Attention AttentionCall::args() const {
  return args_of(case_, tensors_);
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
  check(runtime, cases, {false});
}

void check_all(Runtime& runtime, const std::vector<AttentionCase>& cases) {
  compile_ahead(runtime);
  check(runtime, cases, {false, true});
}

Ahead::Ahead(std::initializer_list<List> lists) {
  lists_ahead().insert(lists_ahead().end(), lists.begin(), lists.end());
}

}  // namespace sprue::test
