// layer_norm, rms_norm with more than a weight, and their gradients on the GPU against double precision.
#include <fmt/format.h>

#include <optional>

#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/norm.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

struct NormCase {
  std::vector<std::int64_t> shape = {};  ///< [..., hidden]
  DType dtype = bf16;
  bool centred = true;
  std::optional<DType> weight = bf16, residual = {};
  bool bias = true, residual_out = true, zero_centred = false;
  bool in_place = false;  ///< y is x, and residual_out is residual; backward: dx is dy, and so on.
  Layout layout = {};

  std::int64_t hidden() const { return shape.back(); }
  std::int64_t rows() const { return Extents(shape).elements() / hidden(); }
  std::string print() const {
    return fmt::format(
        "{} {}, {}, weight {}{}{}, residual {}{}{}, offset {}, padding {}", centred ? "layer" : "rms",
        Extents(shape).print(), name_of(dtype), weight ? name_of(*weight) : "none", bias ? " with bias" : "",
        zero_centred ? ", zero-centred" : "", residual ? name_of(*residual) : "none",
        residual_out ? " and out" : "", in_place ? ", in place" : "", layout.offset, layout.padding);
  }
};

/// The tensors of a case, forward and backward.
class NormCall {
 public:
  explicit NormCall(const NormCase& given) : case_(given) {
    NormCase& c = case_;
    if (!c.weight) c.bias = c.zero_centred = false;
    if (!c.residual) c.residual_out = false;
    const std::int64_t elements = c.rows() * c.hidden();
    x_values_ = reference::random_normal(elements, 1, c.dtype);
    dy_values_ = reference::random_normal(elements, 2, c.dtype);
    x_.emplace(c.dtype, c.shape, c.layout);
    y_.emplace(c.dtype, c.shape);
    if (c.residual) {
      residual_values_ = reference::random_normal(elements, 3, *c.residual);
      residual_.emplace(*c.residual, c.shape);
      residual_out_.emplace(*c.residual, c.shape, c.layout);
    }
    if (c.weight) {
      weight_values_ = reference::random_normal(c.hidden(), 4, *c.weight);
      bias_values_ = reference::random_normal(c.hidden(), 5, *c.weight);
      for (auto* tensor : {&weight_, &bias_, &dweight_, &dbias_})
        tensor->emplace(*c.weight, std::vector<std::int64_t>{c.hidden()});
      weight_->write(weight_values_);
      bias_->write(bias_values_);
    }
  }

  std::string forward_fault(Runtime& runtime) {
    const NormCase& c = case_;
    x_->write(x_values_);
    if (residual_) residual_->write(residual_values_);
    if (c.centred) {
      layer_norm(runtime, forward<LayerNorm>());
    } else {
      rms_norm(runtime, forward<RmsNorm>());
    }
    driver::synchronize_device();
    const reference::NormInputs in = inputs(x_values_, residual_values_, c.bias);
    const auto truth = reference::norm(in);
    const auto naive = reference::naive_norm(in, c.dtype, c.residual.value_or(f32));
    std::string fault = compare("y", c.in_place ? *x_ : *y_, truth.y, naive.y);
    if (c.residual_out)
      fault += compare("residual_out", c.in_place ? *residual_ : *residual_out_, truth.z, naive.z);
    return fault;
  }

  std::string backward_fault(Runtime& runtime) {
    const NormCase& c = case_;
    // y_ is dx, x_ is dy, residual_out_ is z and residual_ the gradients of the residual.
    const DType z_dtype = c.residual.value_or(c.dtype);
    DeviceTensor z(z_dtype, c.shape, c.layout);
    const auto z_values = reference::random_normal(c.rows() * c.hidden(), 6, z_dtype);
    z.write(z_values);
    x_->write(dy_values_);
    if (residual_) residual_->write(residual_values_);
    poison();
    if (c.centred) {
      layer_norm_backward(runtime, backward<LayerNormBackward>(z));
    } else {
      rms_norm_backward(runtime, backward<RmsNormBackward>(z));
    }
    driver::synchronize_device();
    reference::NormInputs in = inputs(z_values, {}, false);
    const auto truth = reference::norm_backward(in, dy_values_, residual_values_);
    const auto naive = reference::naive_norm_backward(in, dy_values_, residual_values_, c.dtype);
    std::string fault = compare_gradient("dx", c.in_place ? *x_ : *y_, truth.dx, naive.dx);
    if (residual_)
      fault += compare_gradient("dresidual", c.in_place ? *residual_ : *residual_out_, truth.dx, naive.dx);
    if (weight_) {
      fault += compare_gradient("dweight", *dweight_, truth.dweight, naive.dweight);
      fault += compare_gradient("dbias", *dbias_, truth.dbias, naive.dbias);
    }
    return fault;
  }

  std::vector<std::byte> gradient_bytes() const {
    std::vector<std::byte> bytes = y_->read_bytes();
    for (const auto* tensor : {&dweight_, &dbias_}) {
      const auto some = (*tensor)->read_bytes();
      bytes.insert(bytes.end(), some.begin(), some.end());
    }
    return bytes;
  }

 private:
  void poison() {
    y_->poison();
    for (auto* tensor : {&dweight_, &dbias_, &residual_out_}) {
      if (*tensor) (*tensor)->poison();
    }
  }
  reference::NormInputs inputs(std::span<const float> x, std::span<const float> residual, bool bias) const {
    return {.rows = case_.rows(),
            .hidden = case_.hidden(),
            .x = x,
            .residual = residual,
            .weight = weight_values_,
            .bias = bias ? std::span<const float>(bias_values_) : std::span<const float>(),
            .eps = 1e-5f,
            .centred = case_.centred,
            .zero_centred_weight = case_.zero_centred};
  }
  template <class Args>
  Args forward() const {
    Args args;
    args.y = case_.in_place ? x_->tensor() : y_->tensor();
    args.x = x_->tensor();
    args.eps = 1e-5f;
    args.zero_centred_weight = case_.zero_centred;
    if (weight_) args.weight = weight_->tensor();
    if (case_.bias) args.bias = bias_->tensor();
    if (residual_) args.residual = residual_->tensor();
    if (case_.residual_out)
      args.residual_out = case_.in_place ? residual_->tensor() : residual_out_->tensor();
    return args;
  }
  template <class Args>
  Args backward(const DeviceTensor& z) const {
    Args args;
    args.dx = case_.in_place ? x_->tensor() : y_->tensor();
    args.dy = x_->tensor();
    args.z = z.tensor();
    args.eps = 1e-5f;
    args.zero_centred_weight = case_.zero_centred;
    if (weight_) {
      args.weight = weight_->tensor();
      args.dweight = dweight_->tensor();
      args.dbias = dbias_->tensor();
    }
    if (residual_) {
      args.dresidual_out = residual_->tensor();
      args.dresidual = case_.in_place ? residual_->tensor() : residual_out_->tensor();
    }
    return args;
  }
  static std::string told(const char* name, const DeviceTensor& tensor,
                          const reference::Comparison& comparison) {
    if (!tensor.intact()) return fmt::format("{}: something was written outside of it; ", name);
    return comparison.passed() ? "" : fmt::format("{}: {}; ", name, comparison.print());
  }
  static std::string compare(const char* name, const DeviceTensor& tensor, std::span<const double> truth,
                             std::span<const float> naive) {
    return told(name, tensor, reference::compare(tensor.read(), truth, naive));
  }
  static std::string compare_gradient(const char* name, const DeviceTensor& tensor,
                                      std::span<const double> truth, std::span<const float> naive) {
    return told(name, tensor, reference::compare_gradient(tensor.read(), truth, naive));
  }

  NormCase case_;
  std::vector<float> x_values_, dy_values_, residual_values_, weight_values_, bias_values_;
  std::optional<DeviceTensor> x_, y_, residual_, residual_out_, weight_, bias_, dweight_, dbias_;
};

void check_all(const std::vector<NormCase>& cases) {
  std::vector<std::string> forward(cases.size()), backward(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    try {
      forward[i] = NormCall(cases[i]).forward_fault(shared_runtime());
      backward[i] = NormCall(cases[i]).backward_fault(shared_runtime());
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

/// Alternately layer_norm and rms_norm, with what else changes from case to case.
std::vector<NormCase> cases_of(std::initializer_list<std::int64_t> hiddens, std::int64_t rows) {
  std::vector<NormCase> cases;
  const std::optional<DType> weights[] = {bf16, f32, f16, {}}, residuals[] = {{}, f32, bf16};
  for (const std::int64_t hidden : hiddens) {
    for (int i = 0; i < 4; ++i) {
      NormCase c{.shape = {rows, hidden}, .centred = i % 2 == 0};
      c.weight = weights[cases.size() % 4];
      c.residual = residuals[cases.size() % 3];
      c.bias = i < 2;
      c.zero_centred = i == 3;
      c.residual_out = cases.size() % 5 != 0;
      c.in_place = cases.size() % 4 == 1;
      cases.push_back(c);
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("norms: row lengths, dtypes and features", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(cases_of({1, 7, 8, 64, 200, 513, 1000}, 35));
  check_all(cases_of({4096, 16384}, 3));
}

TEST_CASE("norms: long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(cases_of({8192, 12288, 65536}, 300));
}

TEST_CASE("norms: f32 and f16, strides and alignment", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<NormCase> cases;
  for (const DType dtype : {f32, f16}) {
    for (const Layout& layout : {Layout{.padding = 8}, Layout{.padding = 3},
                                 Layout{.padding = 1, .offset = 1}, Layout{.order = {1, 0, 2}}}) {
      cases.push_back({.shape = {5, 7, 264},
                       .dtype = dtype,
                       .centred = cases.size() % 2 == 0,
                       .weight = f32,
                       .residual = f32,
                       .layout = layout});
    }
  }
  check_all(cases);
}

TEST_CASE("norms: rows that are very long are read again", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {100'000, 262'144}) {
    for (const bool in_place : {false, true}) {
      NormCase c{.shape = {2, hidden}, .residual = bf16, .in_place = in_place};
      INFO(c.print());
      CHECK(NormCall(c).forward_fault(shared_runtime()) == "");
    }
  }
}

TEST_CASE("norms: gradients of very long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {100'000, 131'072}) {
    NormCase c{.shape = {5, hidden}, .residual = f32};
    INFO(c.print());
    CHECK(NormCall(c).backward_fault(shared_runtime()) == "");
  }
}

TEST_CASE("norms: no rows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all({{.shape = {0, 64}}, {.shape = {3, 0, 64}, .residual = f32}});
}

TEST_CASE("norms: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {64, 513, 4096}) {
    NormCall call({.shape = {3000, hidden}});
    CHECK(call.backward_fault(shared_runtime()) == "");
    const auto first = call.gradient_bytes();
    for (int repetition = 0; repetition < 20; ++repetition) {
      call.backward_fault(shared_runtime());
      CHECK(call.gradient_bytes() == first);
    }
  }
}

}  // namespace sprue::test
