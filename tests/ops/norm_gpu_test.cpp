// layer_norm, rms_norm with more than a weight, and their gradients on the GPU against double precision.
#include "ops/fixture.h"
#include "ops/norm_case.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

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
  check_each(cases_of({1, 7, 8, 64, 200, 513, 1000}, 35));
  check_each(cases_of({4096, 16384}, 3));
}

TEST_CASE("norms: long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_each(cases_of({8192, 12288, 65536}, 300));
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
  check_each(cases);
}

TEST_CASE("norms: heads of packed queries, keys and values", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const Layout packed{.order = {0, 2, 1, 3},
                      .padding = 64};  // [batch, heads, seqlen, head_dim] of twice that many
  check_each({{.shape = {2, 3, 5, 64}, .centred = false, .bias = false, .layout = packed}});
}

TEST_CASE("norms: rows that are very long are read again", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {100'000, 262'144}) {
    for (const bool in_place : {false, true}) {
      NormCase c{.shape = {2, hidden}, .residual = bf16, .in_place = in_place};
      INFO(c.print());
      CHECK(forward_fault(shared_runtime(), c) == "");
    }
  }
}

TEST_CASE("norms: gradients of very long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {100'000, 131'072}) {
    NormCase c{.shape = {5, hidden}, .residual = f32};
    INFO(c.print());
    CHECK(backward_fault(shared_runtime(), c) == "");
  }
}

TEST_CASE("norms: no rows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_each({{.shape = {0, 64}}, {.shape = {3, 0, 64}, .residual = f32}});
}

TEST_CASE("norms: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {64, 513, 4096})
    CHECK(repetition_fault(shared_runtime(), {.shape = {3000, hidden}}, 20) == "");
}

}  // namespace sprue::test
