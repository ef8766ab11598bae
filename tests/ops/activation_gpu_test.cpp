// activation and activation_backward on the GPU against double precision: functions, gates, biases, row
// lengths, layouts.
#include <fmt/format.h>

#include <cmath>

#include "ops/fixture.h"
#include "reference/activation.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

using enum ActivationFunction;
constexpr ActivationFunction kFunctions[] = {identity, relu, squared_relu, leaky_relu,
                                             sigmoid,  silu, gelu,         gelu_tanh};
constexpr DType kDtypes[] = {DType::f32, DType::f16, DType::bf16};

struct ActivationCase {
  std::int64_t batch = 2, rows = 9, columns = 64;
  ActivationFunction function = silu;
  DType dtype = DType::bf16, bias_dtype = DType::bf16;
  bool gated = true, biased = true;
  bool in_place = false;  ///< y is x; dx and dgate are x and gate.
  Layout layout = {};

  std::string print() const {
    return fmt::format("[{}, {}, {}] {}, function {}{}{}{}, offset {} padding {}", batch, rows, columns,
                       name_of(dtype), static_cast<int>(function), gated ? ", gated" : "",
                       biased ? std::string(", bias ") + name_of(bias_dtype) : "",
                       in_place ? ", in place" : "", layout.offset, layout.padding);
  }
};

/// One call each way with random tensors on the GPU. x and gate are halves of one tensor, and so are their
/// gradients.
class ActivationCall {
 public:
  explicit ActivationCall(const ActivationCase& c)
      : case_(c),
        x_(c.dtype, shape(), c.layout),
        y_(c.dtype, shape(), c.layout),
        dy_(c.dtype, shape()),
        dx_(c.dtype, shape(), c.layout),
        bias_(c.bias_dtype, {2, c.columns}),
        dbias_(c.bias_dtype, {2, c.columns}) {
    const std::int64_t halves = c.gated ? 2 : 1;
    const auto values = reference::random_normal(c.batch * c.rows * c.columns * halves, 1, c.dtype, 2);
    x_.write(values);
    bias_.write(bias_values_ = reference::random_normal(2 * c.columns, 2, c.bias_dtype));
    dy_values_ = reference::random_normal(c.batch * c.rows * c.columns, 3, c.dtype);
    std::vector<float> twice;
    for (const std::span<const float> row : rows_of(values, c.columns * halves)) {
      x_values_.insert(x_values_.end(), row.begin(), row.begin() + c.columns);
      if (c.gated) gate_values_.insert(gate_values_.end(), row.begin() + c.columns, row.end());
    }
    for (const std::span<const float> row :
         rows_of(dy_values_, c.columns)) {  // the other half is not looked at
      twice.insert(twice.end(), row.begin(), row.end());
      if (c.gated) twice.insert(twice.end(), row.begin(), row.end());
    }
    dy_.write(twice);
  }

  Activation forward() const {
    Activation args{.y = half(case_.in_place ? x_ : y_, 0),
                    .x = half(x_, 0),
                    .function = case_.function,
                    .negative_slope = 0.1f};
    if (case_.gated) args.gate = half(x_, 1);
    if (case_.biased) args.bias = row(bias_, 0);
    if (case_.biased && case_.gated) args.gate_bias = row(bias_, 1);
    return args;
  }
  ActivationBackward backward() const {
    const Activation f = forward();
    const DeviceTensor& target = case_.in_place ? x_ : dx_;
    ActivationBackward args{.dx = half(target, 0),
                            .dy = half(dy_, 0),
                            .x = f.x,
                            .function = f.function,
                            .gate = f.gate,
                            .bias = f.bias,
                            .gate_bias = f.gate_bias,
                            .dbias = row(dbias_, 0),
                            .negative_slope = 0.1f};
    if (case_.gated) args.dgate = half(target, 1), args.dgate_bias = row(dbias_, 1);
    return args;
  }
  std::vector<std::byte> gradient_bytes() const {
    auto bytes = (case_.in_place ? x_ : dx_).read_bytes();
    const auto sums = dbias_.read_bytes();
    bytes.insert(bytes.end(), sums.begin(), sums.end());
    return bytes;
  }

  std::string forward_fault() const {
    const auto y = first_half((case_.in_place ? x_ : y_).read());
    const auto comparison = reference::compare(y, reference::activation(inputs()),
                                               reference::naive_activation(inputs(), case_.dtype));
    return comparison.passed() ? "" : "y: " + comparison.print();
  }
  std::string backward_fault() const {
    const auto truth = reference::activation_backward(inputs(), dy_values_);
    const auto naive = reference::naive_activation_backward(inputs(), dy_values_, case_.dtype);
    const auto naive_sums = reference::naive_activation_backward(inputs(), dy_values_, case_.bias_dtype);
    const auto gradients = (case_.in_place ? x_ : dx_).read();
    const auto sums = dbias_.read();
    const auto columns = static_cast<std::size_t>(case_.columns);
    std::string faults;
    const auto compare = [&](const char* name, std::span<const float> result, std::span<const double> exact,
                             std::span<const float> first, double slack) {
      auto comparison = reference::compare_gradient(result, exact, first);
      comparison.bound += slack;
      if (!comparison.passed()) faults += fmt::format("{}: {}; ", name, comparison.print());
    };
    // Sums of what was rounded to dtype bound those of what was not only as far as the rounding of the sum
    // goes.
    const double rows = static_cast<double>(case_.batch * case_.rows);
    const double slack = rows * (case_.bias_dtype == DType::f32 ? 1e-5 : 0);
    compare("dx", first_half(gradients), truth.dx, naive.dx, 0);
    compare("dbias", std::span(sums).first(columns), truth.dbias, naive_sums.dbias, slack);
    if (case_.gated) {
      compare("dgate", second_half(gradients), truth.dgate, naive.dgate, 0);
      compare("dgate_bias", std::span(sums).last(columns), truth.dgate_bias, naive_sums.dgate_bias, slack);
    }
    const bool intact = x_.intact() && y_.intact() && dy_.intact() && dx_.intact() && dbias_.intact();
    return intact ? faults : faults + "something was written outside of a tensor";
  }

 private:
  std::vector<std::int64_t> shape() const {
    return {case_.batch, case_.rows, case_.columns * (case_.gated ? 2 : 1)};
  }
  static std::vector<std::span<const float>> rows_of(std::span<const float> values, std::int64_t columns) {
    std::vector<std::span<const float>> rows;
    for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(columns))
      rows.push_back(values.subspan(i, static_cast<std::size_t>(columns)));
    return rows;
  }
  /// The columns of x, or of the gate behind them.
  Tensor half(const DeviceTensor& whole, int which) const {
    Tensor tensor = whole.tensor();
    tensor.extents.shape[2] = case_.columns;
    tensor.data = static_cast<std::byte*>(tensor.data) +
                  which * case_.columns * static_cast<std::int64_t>(size_of(case_.dtype));
    return tensor;
  }
  Tensor row(const DeviceTensor& two, int which) const {
    const Tensor tensor = two.tensor();
    return {static_cast<std::byte*>(tensor.data) +
                which * case_.columns * static_cast<std::int64_t>(size_of(tensor.dtype)),
            tensor.dtype,
            {case_.columns}};
  }
  std::vector<float> part(const std::vector<float>& values, bool second) const {
    std::vector<float> part;
    for (const auto row : rows_of(values, case_.columns * (case_.gated ? 2 : 1))) {
      const auto first = row.begin() + (second ? case_.columns : 0);
      part.insert(part.end(), first, first + case_.columns);
    }
    return part;
  }
  std::vector<float> first_half(const std::vector<float>& values) const { return part(values, false); }
  std::vector<float> second_half(const std::vector<float>& values) const { return part(values, true); }
  reference::ActivationInputs inputs() const {
    const auto columns = static_cast<std::size_t>(case_.columns);
    reference::ActivationInputs in{.columns = case_.columns,
                                   .x = x_values_,
                                   .gate = gate_values_,
                                   .function = case_.function,
                                   .negative_slope = 0.1f};
    if (case_.biased) in.bias = std::span(bias_values_).first(columns);
    if (case_.biased && case_.gated) in.gate_bias = std::span(bias_values_).last(columns);
    return in;
  }

  ActivationCase case_;
  std::vector<float> x_values_, gate_values_, bias_values_, dy_values_;
  DeviceTensor x_, y_, dy_, dx_, bias_, dbias_;
};

void check_all(Runtime& runtime, const std::vector<ActivationCase>& cases) {
  std::vector<std::string> faults(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    if (!cases[i].in_place) {
      ActivationCall call(cases[i]);
      activation(runtime, call.forward());
      activation_backward(runtime, call.backward());
      driver::synchronize_device();
      faults[i] = call.forward_fault() + call.backward_fault();
      return;
    }
    ActivationCall forward(cases[i]), backward(cases[i]);  // both overwrite x
    activation(runtime, forward.forward());
    activation_backward(runtime, backward.backward());
    driver::synchronize_device();
    faults[i] = forward.forward_fault() + backward.backward_fault();
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(faults[i] == "");
  }
}

}  // namespace

TEST_CASE("activation: functions and dtypes, alone and gated", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<ActivationCase> cases;
  for (const ActivationFunction function : kFunctions) {
    const DType dtype = kDtypes[cases.size() / 2 % 3];
    cases.push_back({.function = function,
                     .dtype = dtype,
                     .bias_dtype = dtype,
                     .gated = false,
                     .biased = cases.size() % 4 == 0});
    cases.push_back(
        {.function = function, .dtype = dtype, .bias_dtype = DType::f32, .in_place = cases.size() % 4 == 1});
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("activation: row lengths and layouts", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<ActivationCase> cases;
  for (const std::int64_t columns : {1, 7, 8, 120, 513, 1032, 2048}) {
    cases.push_back({.rows = 5, .columns = columns, .function = silu, .gated = columns % 2 == 0});
    cases.push_back(
        {.batch = 1, .rows = 37, .columns = columns, .function = relu, .dtype = DType::f32, .biased = false});
  }
  cases.push_back({.columns = 96, .layout = {.order = {1, 0, 2}, .padding = 8}});
  cases.push_back({.columns = 96, .bias_dtype = DType::f32, .layout = {.offset = 1}});
  check_all(shared_runtime(), cases);
}

TEST_CASE("activation: long and many rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<ActivationCase> cases;
  for (const std::int64_t columns : {11008, 65537}) {
    for (const DType dtype : kDtypes)
      cases.push_back({.rows = 3, .columns = columns, .dtype = dtype, .bias_dtype = dtype});
  }
  cases.push_back({.rows = 5000, .columns = 64, .dtype = DType::f32, .bias_dtype = DType::f32});
  cases.push_back(
      {.rows = 5000, .columns = 1, .dtype = DType::f32, .bias_dtype = DType::f32, .gated = false});
  check_all(shared_runtime(), cases);
}

TEST_CASE("activation: infinities and NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceTensor x(DType::f32, {4}), y(DType::f32, {4});
  x.write(std::vector<float>{INFINITY, NAN, 1e30f, -1e30f});
  for (const ActivationFunction function : kFunctions) {
    activation(shared_runtime(), {.y = y.tensor(), .x = x.tensor(), .function = function});
    driver::synchronize_device();
    const auto result = y.read();
    INFO(static_cast<int>(function));
    CHECK(result[0] == (function == sigmoid ? 1 : INFINITY));
    CHECK(std::isnan(result[1]));
    CHECK(result[2] == (function == sigmoid ? 1 : function == squared_relu ? INFINITY : 1e30f));
    CHECK(std::abs(result[3]) == (function == identity ? 1e30f : function == leaky_relu ? 1e30f * 0.01f : 0));
  }
}

TEST_CASE("activation: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t columns : {513, 4096}) {
    std::vector<std::byte> first;
    for (int i = 0; i < 5; ++i) {
      ActivationCall call({.rows = 777, .columns = columns});
      activation_backward(shared_runtime(), call.backward());
      driver::synchronize_device();
      if (i == 0) first = call.gradient_bytes();
      CHECK((call.gradient_bytes() == first));
    }
  }
}

TEST_CASE("activation: sums over no rows are 0", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceTensor dbias(DType::f32, {16});
  const Tensor none(nullptr, DType::bf16, {0, 16});
  activation_backward(shared_runtime(), {.dx = none, .dy = none, .x = none, .dbias = dbias.tensor()});
  driver::synchronize_device();
  CHECK(dbias.read() == std::vector<float>(16));
}

}  // namespace sprue::test
