// What comes before and after a norm, alone and together, on the GPU against double precision.
#include <cmath>

#include "ops/fixture.h"
#include "ops/norm_case.h"
#include "support/catch.h"
#include "support/covering.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

/// Every feature with rows of these lengths, several in turn.
std::vector<NormCase> one_by_one(std::initializer_list<std::int64_t> hiddens, std::int64_t rows) {
  const std::vector<NormCase> features = {
      {.dropout = 0.25f, .mask = true},
      {.residual = f32, .dropout = 0.5f},
      {.row_scale = f32, .column_scale = bf16, .x_scale = 1.5f},
      {.residual = bf16, .dropout = 0.1f, .x1 = true},
      {.gate = Gate::last},
      {.residual = f32, .gate = Gate::first},
      {.two_outputs = true},
      {.quantised = DType::e4m3},
      {.quantised = DType::i8},
      {.quantised = DType::e4m3, .row_scales = false},
      {.quantised = DType::i8, .row_scales = false},
      {.residual = bf16, .x_scale = 2, .x_rows = true},
      {.y_rows = true},
  };
  std::vector<NormCase> cases;
  for (const std::int64_t hidden : hiddens) {
    for (NormCase c : features) {
      c.shape = {rows, hidden};
      c.centred = cases.size() % 2 == 0;
      cases.push_back(c);
    }
  }
  return cases;
}

/// Features that row `levels` of a covering array names.
constexpr int kLevels[] = {2, 3, 3, 3, 3, 3, 2, 3, 3, 2, 2, 2, 2};
NormCase combined(const std::vector<int>& levels, std::int64_t hidden) {
  const std::optional<DType> types[] = {{}, f32, bf16}, outputs[] = {{}, DType::e4m3, DType::i8};
  NormCase c{.shape = {2, 5, hidden}};
  c.centred = levels[0] == 0;
  c.weight = types[2 - levels[1]];
  c.residual = types[levels[2]];
  c.row_scale = types[levels[3]];
  c.column_scale = types[levels[4]];
  c.dropout = levels[5] == 0 ? 0 : 0.3f;
  c.mask = levels[5] == 2;
  c.x1 = levels[6] == 1;
  c.gate = static_cast<Gate>(levels[7]);
  c.quantised = outputs[levels[8]];
  c.row_scales = levels[8] != 2 || levels[9] == 0;
  c.bias = c.two_outputs = levels[9] == 1;
  c.residual_out = levels[10] == 0;
  c.x_rows = levels[11] == 1;
  c.y_rows = levels[12] == 1;
  if (levels[10] == 1) c.layout = {.order = {1, 0, 2}, .padding = 3};
  return c;
}

}  // namespace

TEST_CASE("norms: every feature before and after them", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_each(one_by_one({7, 512}, 6));
}

TEST_CASE("norms: features of rows that a block or a cluster keeps", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_each(one_by_one({2048, 32768, 65536}, 2));
}

TEST_CASE("norms: every two features, strides and alignment", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<NormCase> cases;
  for (const std::vector<int>& row : covering_array({std::begin(kLevels), std::end(kLevels)})) {
    cases.push_back(combined(row, cases.size() % 2 == 0 ? 40 : 33));
    if (cases.size() % 3 == 0) cases.back().dtype = cases.size() % 2 == 0 ? f32 : f16;
    NormCase& c = cases.back();
    for (auto* type : {&c.weight, &c.residual, &c.row_scale, &c.column_scale}) {
      if (*type && **type != f32) *type = c.dtype;
    }
  }
  CHECK(cases.size() < 24);
  check_each(cases);
}

TEST_CASE("norms: features without rows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  NormCase c{.shape = {0, 64}, .residual = f32, .column_scale = f32, .dropout = 0.5f, .mask = true};
  c.gate = Gate::last;
  c.two_outputs = true;
  check_each({c, {.shape = {3, 0, 8}, .quantised = DType::e4m3, .x_rows = true, .y_rows = true}});
}

TEST_CASE("norms: dropout hides NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceTensor x(f32, {2, 16}), y(f32, {2, 16}), mask(DType::u8, {2, 16});
  x.write(std::vector<float>(32, NAN));
  layer_norm(shared_runtime(), {.y = y.tensor(),
                                .x = x.tensor(),
                                .dropout = {.probability = 0.9999f, .seed = 1},
                                .dropout_mask = mask.tensor()});
  driver::synchronize_device();
  CHECK(mask.read() == std::vector<float>(32, 0));
  CHECK(y.read() == std::vector<float>(32, 0));
}

// Of rows of one column the normalised value and its gradient are 0, where rounding would leave something
// that 1 / sqrt(eps) makes large.
TEST_CASE("norms: one column is its own mean", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  constexpr std::int64_t rows = 64;
  const std::vector<float> zeros(rows);
  const auto column = [](float step) {
    DeviceTensor tensor(f32, {rows, 1});
    std::vector<float> values;
    for (std::int64_t i = 0; i < rows; ++i) values.push_back(1 + step * static_cast<float>(i));
    tensor.write(values);
    return tensor;
  };
  const DeviceTensor dy = column(0.37f), z = column(-0.013f), gate = column(0.071f);
  DeviceTensor weight(f32, {1}), dx(f32, {rows, 1}), dweight(f32, {1}), dgate(f32, {rows, 1});
  weight.write(std::vector<float>{1.7f});
  layer_norm_backward(shared_runtime(), {.dx = dx.tensor(),
                                         .dy = dy.tensor(),
                                         .z = z.tensor(),
                                         .weight = weight.tensor(),
                                         .dweight = dweight.tensor(),
                                         .gate = gate.tensor(),
                                         .dgate = dgate.tensor()});
  driver::synchronize_device();
  CHECK(dx.read() == zeros);
  CHECK(dweight.read() == std::vector<float>{0});
  CHECK(dgate.read() == zeros);
}

TEST_CASE("norms: features of rows of every length", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_each(one_by_one({1, 8, 513, 1024, 2048, 4096, 8192, 12288, 32768, 65537}, 300));
}

TEST_CASE("norms: gradients of features have the same bits again", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {64, 513, 4096, 16384}) {
    const NormCase c{.shape = {1000, hidden},
                     .residual = f32,
                     .column_scale = f32,
                     .dropout = 0.2f,
                     .gate = Gate::last,
                     .two_outputs = true};
    CHECK(repetition_fault(shared_runtime(), c, 10) == "");
  }
}

}  // namespace sprue::test
