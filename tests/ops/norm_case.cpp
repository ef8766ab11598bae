#include "ops/norm_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "driver/device.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/norm.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "support/catch.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32;
using Values = std::vector<float>;

/// Numbers of rows: every third one is not there, the others are in reverse; one of the former is out of
/// range.
std::vector<std::int64_t> numbers_of(std::int64_t rows, bool some) {
  std::vector<std::int64_t> numbers;
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < rows; ++r) count += some && r % 3 == 1 ? 0 : 1;
  for (std::int64_t r = 0, next = count; r < rows; ++r) {
    numbers.push_back(!some ? r + 1 : r % 3 == 1 ? (r == 1 ? 9999 : 0) : next--);
  }
  return numbers;
}

/// A case's values, by name, as the reference wants them, and its tensors, as the GPU does.
class NormCall {
 public:
  explicit NormCall(const NormCase& given) : c(given) {
    if (!c.weight) c.bias = c.zero_centred = c.two_outputs = false;
    if (c.dropout == 0) c.mask = false;
    changes_ =
        c.residual || c.x1 || c.row_scale || c.column_scale || c.x_scale != 1 || c.dropout != 0 || c.x_rows;
    if (!changes_) c.residual_out = false;
    x_numbers_ = numbers_of(c.rows(), c.x_rows);
    y_numbers_ = numbers_of(c.rows(), c.y_rows);
  }

  std::string forward(Runtime& runtime) {
    draw_forward();
    if (c.centred) {
      layer_norm(runtime, forward_args<LayerNorm>());
    } else {
      rms_norm(runtime, forward_args<RmsNorm>());
    }
    driver::synchronize_device();

    const DType sum = c.residual.value_or(f32);
    const reference::NormInputs in = inputs("x");
    const auto truth = reference::norm(in);
    const auto naive = reference::naive_norm(in, c.dtype, c.residual_out ? sum : c.dtype);
    std::string fault = output_fault("y", truth.y, naive.y);
    if (c.two_outputs) fault += output_fault("y1", truth.y1, naive.y1);
    if (c.residual_out) fault += compare("residual_out", truth.z, naive.z, false);
    for (const char* mask : {"mask", "mask1"}) {
      if (tensors_.contains(mask) && read(mask) != values_[mask]) fault += fmt::format("{} is wrong; ", mask);
    }
    return fault;
  }

  std::string backward(Runtime& runtime) {
    prepare_backward()(runtime);
    driver::synchronize_device();

    const reference::NormInputs in = inputs("z");
    const reference::NormUpstream upstream{.dy = values_["dy"],
                                           .dresidual_out = if_given(c.residual.has_value(), "residual"),
                                           .dy1 = values_["dy1"],
                                           .x = values_["x"]};
    const auto truth = reference::norm_backward(in, upstream);
    const auto naive = reference::naive_norm_backward(in, upstream, c.dtype);
    std::string fault;
    const auto check = [&](const char* name, const std::vector<double>& wanted,
                           const std::vector<float>& attempt) {
      if (!tensors_.contains(place(name)) || (std::string_view(name) == "dresidual" && !c.residual)) return;
      fault += compare(name, wanted, attempt, true);
    };
    check("dx", truth.dx, naive.dx);
    check("dresidual", truth.dz, naive.dz);
    check("dx1", truth.dx1, naive.dx1);
    check("dgate", truth.dgate, naive.dgate);
    check("dweight", truth.dweight, naive.dweight);
    check("dbias", truth.dbias, naive.dbias);
    check("dweight1", truth.dweight1, naive.dweight1);
    check("dbias1", truth.dbias1, naive.dbias1);
    check("dcolumn_scale", truth.dcolumn_scale, naive.dcolumn_scale);
    return fault;
  }

  std::string forward_spec(Runtime& runtime) {
    draw_forward();
    return (c.centred ? prepare(runtime, forward_args<LayerNorm>())
                      : prepare(runtime, forward_args<RmsNorm>()))
        .spec;
  }
  std::string backward_spec(Runtime& runtime) {
    draw_backward();
    return (c.centred ? prepare(runtime, backward_args<LayerNormBackward>())
                      : prepare(runtime, backward_args<RmsNormBackward>()))
        .spec;
  }

  std::string repeat_backward(Runtime& runtime, int repetitions) {
    const auto call = prepare_backward();
    std::map<std::string, std::vector<std::byte>> first;
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      call(runtime);
      driver::synchronize_device();
      for (const auto& [name, tensor] : tensors_) {
        const auto [at, is_new] = first.try_emplace(name, tensor.read_bytes());
        if (!is_new && tensor.read_bytes() != at->second)
          return fmt::format("repetition {}: {} has other bits", repetition, name);
      }
    }
    return {};
  }

 private:
  void draw_forward() {
    draw("x", c.dtype);
    leave_out("x", x_numbers_);
    draw_inputs();
  }
  void draw_backward() {
    for (const char* name : {"x", "z", "dy", "dy1"}) {
      draw(name, std::string_view(name) == "z" && changes_ ? c.residual.value_or(f32) : c.dtype);
    }
    leave_out("x", x_numbers_);
    leave_out("dy", y_numbers_);
    leave_out("dy1", y_numbers_);
    draw_inputs();
  }
  std::function<void(Runtime&)> prepare_backward() {
    draw_backward();
    if (!c.centred)
      return
          [args = backward_args<RmsNormBackward>()](Runtime& runtime) { rms_norm_backward(runtime, args); };
    return
        [args = backward_args<LayerNormBackward>()](Runtime& runtime) { layer_norm_backward(runtime, args); };
  }

  // Values.

  void draw(const char* name, DType dtype, std::int64_t count = -1) {
    values_[name] =
        reference::random_normal(count < 0 ? c.rows() * c.hidden() : count, values_.size() + 1, dtype);
    const bool is_normalised = std::string_view(name) == "x" || std::string_view(name) == "z";
    if (is_normalised && c.mean != 0) {
      for (float& value : values_[name]) value = reference::rounded(value + c.mean, dtype);
    }
  }
  void leave_out(const char* name, const std::vector<std::int64_t>& numbers) {
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      if (!is_there(numbers[static_cast<std::size_t>(r)]))
        std::fill_n(values_[name].begin() + r * c.hidden(), c.hidden(), 0.0f);
    }
  }
  void draw_inputs() {
    for (const char* name : {"x1", "gate"}) draw(name, c.dtype);
    draw("residual", c.residual.value_or(f32));
    for (const char* name : {"weight", "weight1", "bias", "bias1"})
      draw(name, c.weight.value_or(f32), c.hidden());
    draw("row_scale", c.row_scale.value_or(f32), c.rows());
    draw("column_scale", c.column_scale.value_or(f32), c.hidden());
    for (const char* name : {"mask", "mask1"})
      values_[name] =
          reference::norm_dropout_mask(dropout(), c.rows(), c.hidden(), std::string_view(name) == "mask1");
    leave_out("mask", x_numbers_);
  }
  Dropout dropout() const {
    return {.probability = c.dropout, .seed = 0x123456789abcdef, .offset = 0xfffffff0};
  }

  std::span<const float> if_given(bool given, const char* name) {
    return given ? std::span<const float>(values_[name]) : std::span<const float>();
  }
  reference::NormInputs inputs(const char* x) {
    return {.rows = c.rows(),
            .hidden = c.hidden(),
            .x = values_[x],
            .residual = if_given(c.residual.has_value() && x[0] == 'x', "residual"),
            .weight = if_given(c.weight.has_value(), "weight"),
            .bias = if_given(c.bias, "bias"),
            .eps = 1e-5f,
            .centred = c.centred,
            .zero_centred_weight = c.zero_centred,
            .row_scale = if_given(c.row_scale.has_value(), "row_scale"),
            .column_scale = if_given(c.column_scale.has_value(), "column_scale"),
            .x_scale = c.x_scale,
            .dropout = c.dropout,
            .mask = if_given(c.dropout != 0, "mask"),
            .x1 = if_given(c.x1, "x1"),
            .mask1 = if_given(c.dropout != 0, "mask1"),
            .gate = if_given(c.gate != Gate::none, "gate"),
            .gate_first = c.gate == Gate::first,
            .weight1 = if_given(c.two_outputs, "weight1"),
            .bias1 = if_given(c.two_outputs && c.bias, "bias1")};
  }

  // Tensors. Those of rows that are numbered have only the rows that are there.

  bool is_there(std::int64_t number) const { return number >= 1 && number <= c.rows(); }
  const std::vector<std::int64_t>* numbers(std::string_view name) const {
    const auto one_of = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (c.x_rows && one_of({"x", "dx", "mask"})) return &x_numbers_;
    if (c.y_rows && one_of({"y", "y1", "dy", "dy1", "y_row_scale", "y1_row_scale"})) return &y_numbers_;
    return nullptr;
  }
  std::int64_t count_rows(std::string_view name) const {
    const auto* some = numbers(name);
    if (some == nullptr) return c.rows();
    return std::count_if(some->begin(), some->end(), [&](std::int64_t n) { return is_there(n); });
  }
  /// values[r, :] → values[number of r - 1, :], or the other way, with zeros where nothing is there.
  Values renumbered(std::string_view name, const Values& from, bool compact) const {
    const auto* some = numbers(name);
    if (some == nullptr) return from;
    const auto width = static_cast<std::size_t>(c.rows() == 0 ? 0 : is_row_value(name) ? 1 : c.hidden());
    Values to(width * static_cast<std::size_t>(compact ? count_rows(name) : c.rows()));
    for (std::size_t r = 0; r < some->size(); ++r) {
      if (!is_there((*some)[r])) continue;
      const std::size_t there = static_cast<std::size_t>((*some)[r] - 1) * width;
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(compact ? r * width : there), width,
                  to.begin() + static_cast<std::ptrdiff_t>(compact ? there : r * width));
    }
    return to;
  }
  static bool is_row_value(std::string_view name) { return name.ends_with("row_scale"); }

  Tensor rows(const char* name, DType dtype) {
    const bool numbered = numbers(name) != nullptr;
    std::vector<std::int64_t> shape = c.shape;
    if (numbered) shape = {count_rows(name), c.hidden()};
    if (is_row_value(name)) shape.pop_back();
    Layout layout = c.layout;
    if (numbered || is_row_value(name)) layout.order = {};
    if (is_row_value(name)) layout.padding = 0;
    return add(name, dtype, shape, layout);
  }
  /// Of a result: in place, the tensor that it replaces.
  Tensor result_rows(const char* name, DType dtype) {
    const std::string where = place(name);
    return where == name ? rows(name, dtype) : tensors_.at(where).tensor();
  }
  std::string place(std::string_view name) const {
    if (!c.in_place) return std::string(name);
    return name == "y"                                     ? "x"
           : name == "dx"                                  ? "dy"
           : name == "residual_out" || name == "dresidual" ? "residual"
                                                           : std::string(name);
  }
  Tensor columns(const char* name, DType dtype) { return add(name, dtype, {c.hidden()}, {}); }
  Tensor add(const char* name, DType dtype, const std::vector<std::int64_t>& shape, const Layout& layout) {
    return tensors_.try_emplace(name, dtype, shape, layout).first->second.tensor();
  }
  /// The same with the values of the case.
  Tensor given_rows(const char* name, DType dtype) { return written(name, rows(name, dtype)); }
  Tensor given_columns(const char* name, DType dtype) { return written(name, columns(name, dtype)); }
  Tensor written(const char* name, const Tensor& tensor) {
    tensors_.at(name).write(renumbered(name, values_[name], true));
    return tensor;
  }
  Tensor row_numbers(const char* name, const std::vector<std::int64_t>& numbers) {
    std::vector<std::int64_t> shape = c.shape;
    shape.pop_back();
    const Tensor tensor = add(name, DType::i32, shape, {});
    tensors_.at(name).write(Values(numbers.begin(), numbers.end()));
    return tensor;
  }
  Values read(const char* name) const { return renumbered(name, tensors_.at(place(name)).read(), false); }

  // Calls.

  /// What both directions are given alike.
  template <class Args>
  void add_common(Args& args) {
    args.eps = 1e-5f;
    args.zero_centred_weight = c.zero_centred;
    args.x_scale = c.x_scale;
    args.dropout = dropout();
    args.gate_first = c.gate == Gate::first;
    if (c.weight) args.weight = given_columns("weight", *c.weight);
    if (c.two_outputs) args.weight1 = given_columns("weight1", *c.weight);
    if (c.row_scale) args.row_scale = given_rows("row_scale", *c.row_scale);
    if (c.column_scale) args.column_scale = given_columns("column_scale", *c.column_scale);
    if (c.gate != Gate::none) args.gate = given_rows("gate", c.dtype);
    if (c.x_rows) args.x_rows = row_numbers("x_rows", x_numbers_);
    if (c.y_rows) args.y_rows = row_numbers("y_rows", y_numbers_);
  }

  template <class Args>
  Args forward_args() {
    const DType output = c.quantised.value_or(c.dtype);
    Args args;
    add_common(args);
    args.x = given_rows("x", c.dtype);
    args.y = result_rows("y", output);
    if (c.bias) args.bias = given_columns("bias", *c.weight);
    if (c.bias && c.two_outputs) args.bias1 = given_columns("bias1", *c.weight);
    if (c.residual) args.residual = given_rows("residual", *c.residual);
    if (c.residual_out) args.residual_out = result_rows("residual_out", c.residual.value_or(f32));
    if (c.x1) args.x1 = given_rows("x1", c.dtype);
    if (c.mask) args.dropout_mask = rows("mask", DType::u8);
    if (c.mask && c.x1) args.dropout_mask1 = rows("mask1", DType::u8);
    if (c.two_outputs) args.y1 = rows("y1", output);
    if (!c.quantised) return args;
    if (c.row_scales) {
      args.y_row_scale = rows("y_row_scale", f32);
      if (c.two_outputs) args.y1_row_scale = rows("y1_row_scale", f32);
    } else {
      args.y_scale = add("y_scale", f32, {1}, {});
      tensors_.at("y_scale").write(Values{kScale});
      if (c.two_outputs) args.y1_scale = args.y_scale;
    }
    return args;
  }

  template <class Args>
  Args backward_args() {
    Args args;
    add_common(args);
    args.dy = given_rows("dy", c.dtype);
    args.dx = result_rows("dx", c.dtype);
    args.z = given_rows("z", changes_ ? c.residual.value_or(f32) : c.dtype);
    if (c.weight) {
      args.dweight = columns("dweight", *c.weight);
      args.dbias = columns("dbias", *c.weight);
    }
    if (c.two_outputs) {
      args.dy1 = given_rows("dy1", c.dtype);
      args.dweight1 = columns("dweight1", *c.weight);
      args.dbias1 = columns("dbias1", *c.weight);
    }
    if (c.bias && c.gate == Gate::last) {
      args.bias = given_columns("bias", *c.weight);
      if (c.two_outputs) args.bias1 = given_columns("bias1", *c.weight);
    }
    if (c.residual) {
      args.dresidual_out = given_rows("residual", *c.residual);
      args.dresidual = result_rows("dresidual", *c.residual);
    }
    if (c.column_scale) {
      args.x = given_rows("x", c.dtype);
      args.dcolumn_scale = columns("dcolumn_scale", *c.column_scale);
    }
    if (c.mask) args.dropout_mask = given_rows("mask", DType::u8);
    if (c.x1) args.dx1 = rows("dx1", c.dtype);
    if (c.x1 && c.mask) args.dropout_mask1 = given_rows("mask1", DType::u8);
    if (c.gate != Gate::none) args.dgate = rows("dgate", c.dtype);
    return args;
  }

  // Comparisons.

  std::string compare(const char* name, std::vector<double> truth, Values naive, bool gradient) {
    const DeviceTensor& tensor = tensors_.at(place(name));
    if (!tensor.intact()) return fmt::format("{}: something was written outside of it; ", name);
    if (const auto* some = numbers(name)) {
      for (std::size_t i = 0; i < truth.size(); ++i) {
        if (!is_there((*some)[i / static_cast<std::size_t>(c.hidden())])) truth[i] = naive[i] = 0;
      }
    }
    const auto comparison = gradient ? reference::compare_gradient(read(name), truth, naive)
                                     : reference::compare(read(name), truth, naive);
    return comparison.passed() ? "" : fmt::format("{}: {}; ", name, comparison.print());
  }

  /// Of y or y1.
  std::string output_fault(const std::string& name, const std::vector<double>& truth, const Values& naive) {
    if (!c.quantised) return compare(name.c_str(), truth, naive, false);
    if (!tensors_.at(name).intact()) return fmt::format("{}: something was written outside of it; ", name);
    const bool is_e4m3 = *c.quantised == DType::e4m3;
    const double most = is_e4m3 ? 448 : 127;
    const Values y = read(name.c_str());
    const Values scales = c.row_scales ? read((name + "_row_scale").c_str()) : Values{};
    double slack = 1e-5;
    for (std::size_t i = 0; i < truth.size(); ++i) slack = std::max(slack, 2 * std::abs(naive[i] - truth[i]));
    for (std::int64_t r = 0; r < c.rows(); ++r) {
      if (c.y_rows && !is_there(y_numbers_[static_cast<std::size_t>(r)])) continue;
      const std::size_t first = static_cast<std::size_t>(r * c.hidden()),
                        end = first + static_cast<std::size_t>(c.hidden());
      double largest = 0;
      for (std::size_t i = first; i < end; ++i) largest = std::max(largest, std::abs(truth[i]));
      const double scale =
          c.row_scales ? static_cast<double>(scales[static_cast<std::size_t>(r)]) : double{kScale};
      if (c.row_scales && !(std::abs(scale * most - largest) <= slack + 1e-5 * largest))
        return fmt::format("{}: row {} has scale {}, but its largest value is {}; ", name, r, scale, largest);
      for (std::size_t i = first; i < end; ++i) {
        const double step = is_e4m3 ? std::max(std::abs(truth[i]) / 16, scale / 1024) : scale / 2;
        const double wanted = std::clamp(truth[i], -(is_e4m3 ? 448 : 128) * scale, most * scale);
        if (!(std::abs(static_cast<double>(y[i]) * scale - wanted) <= 1.001 * step + slack))
          return fmt::format("{}: element {} is {} * {}, but should be {}; ", name, i, y[i], scale, truth[i]);
      }
    }
    return {};
  }

  static constexpr float kScale = 0.0125f;
  NormCase c;
  bool changes_;  // z is not x
  std::vector<std::int64_t> x_numbers_, y_numbers_;
  std::map<std::string, Values> values_;
  std::map<std::string, DeviceTensor> tensors_;
};

}  // namespace

std::string NormCase::print() const {
  const auto name = [](const std::optional<DType>& dtype) { return dtype ? name_of(*dtype) : "none"; };
  return fmt::format(
      "{} {}, {}, weight {}{}{}, residual {}{}, row scale {}, column scale {}, x_scale {}, dropout "
      "{}{}{}{}{}, quantised "
      "{}{}{}{}{}, mean {}, offset {}, padding {}",
      centred ? "layer" : "rms", Extents(shape).print(), name_of(dtype), name(weight),
      bias ? " with bias" : "", zero_centred ? ", zero-centred" : "", name(residual),
      residual_out ? " and out" : "", name(row_scale), name(column_scale), x_scale, dropout,
      mask ? " with mask" : "", x1 ? ", x1" : "",
      gate == Gate::none    ? ""
      : gate == Gate::first ? ", gate first"
                            : ", gate last",
      two_outputs ? ", two outputs" : "", name(quantised), row_scales ? " by rows" : "",
      x_rows ? ", some x" : "", y_rows ? ", some y" : "", in_place ? ", in place" : "", mean, layout.offset,
      layout.padding);
}

std::string forward_fault(Runtime& runtime, const NormCase& given) {
  return NormCall(given).forward(runtime);
}

std::string backward_fault(Runtime& runtime, const NormCase& given) {
  return NormCall(given).backward(runtime);
}

std::string forward_spec(Runtime& runtime, const NormCase& given) {
  return NormCall(given).forward_spec(runtime);
}

std::string backward_spec(Runtime& runtime, const NormCase& given) {
  return NormCall(given).backward_spec(runtime);
}

std::string repetition_fault(Runtime& runtime, const NormCase& given, int repetitions) {
  return NormCall(given).repeat_backward(runtime, repetitions);
}

void check_each(const std::vector<NormCase>& cases) {
  std::vector<std::string> forward(cases.size()), backward(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    try {
      forward[i] = forward_fault(shared_runtime(), cases[i]);
      backward[i] = backward_fault(shared_runtime(), cases[i]);
    } catch (const std::exception& error) {
      forward[i] += error.what();
    }
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(forward[i] == "");
    CHECK(backward[i] == "");
  }
}

}  // namespace sprue::test
