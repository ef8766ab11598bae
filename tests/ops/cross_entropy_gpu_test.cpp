// cross_entropy and cross_entropy_backward on the GPU against double precision.
#include <cmath>
#include <limits>

#include "ops/cross_entropy_call.h"
#include "ops/fixture.h"
#include "reference/random.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i32 = DType::i32, i64 = DType::i64;

void check_all(const std::vector<CrossEntropyCase>& cases) {
  std::vector<std::string> faults(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    try {
      CrossEntropyCall call(cases[i]);
      faults[i] = call.forward_fault(shared_runtime());
      if (const std::string fault = call.backward_fault(shared_runtime()); !fault.empty())
        faults[i] += "backward: " + fault;
    } catch (const std::exception& error) {
      faults[i] = error.what();
    }
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(faults[i] == "");
  }
}

/// Four options for each length, the other choices changing from case to case.
std::vector<CrossEntropyCase> cases_of(std::initializer_list<std::int64_t> lengths, std::int64_t rows) {
  const LossOptions options[] = {
      {.reduction = Reduction::none},
      {.label_smoothing = 0.1f, .lse_square_scale = 1e-3f, .reduction = Reduction::mean},
      {.logit_scale = 0.5f, .softcap = 3, .reduction = Reduction::sum},
      {.label_smoothing = 0.25f, .logit_scale = -1.25f, .softcap = 20, .reduction = Reduction::none}};
  std::vector<CrossEntropyCase> cases;
  for (const std::int64_t classes : lengths) {
    for (const LossOptions& o : options) {
      cases.push_back({.shape = {rows, classes},
                       .dtype = cases.size() % 3 == 0   ? bf16
                                : cases.size() % 3 == 1 ? f32
                                                        : f16,
                       .label_type = cases.size() % 2 == 0 ? i64 : i32,
                       .options = o,
                       .gradient = cases.size() % 3 != 2,
                       .in_place = cases.size() % 4 == 1,
                       .precomputed = cases.size() % 5 == 4});
    }
  }
  return cases;
}

/// Results of a call with `values` as its one row.
struct OneRow {
  float loss, lse, bad;
  std::vector<float> dlogits, backward;
};
OneRow one_row(const std::vector<float>& values, std::int64_t label, const LossOptions& options = {}) {
  const auto classes = static_cast<std::int64_t>(values.size());
  DeviceTensor logits(f32, {1, classes}), dlogits(f32, {1, classes}), labels(i64, {1}), loss(f32, {1}),
      lse(f32, {1}), bad(i32, {1}), dloss(f32, {1});
  logits.write(values);
  labels.write(std::vector<float>{static_cast<float>(label)});
  dloss.write(std::vector<float>{1});
  LossOptions unreduced = options;
  unreduced.reduction = Reduction::none;
  cross_entropy(shared_runtime(), {.loss = loss.tensor(),
                                   .logits = logits.tensor(),
                                   .labels = labels.tensor(),
                                   .dlogits = dlogits.tensor(),
                                   .lse = lse.tensor(),
                                   .bad_labels = bad.tensor(),
                                   .options = unreduced});
  OneRow result{loss.read()[0], lse.read()[0], bad.read()[0], dlogits.read(), {}};
  cross_entropy_backward(shared_runtime(), {.dlogits = dlogits.tensor(),
                                            .dloss = dloss.tensor(),
                                            .logits = logits.tensor(),
                                            .labels = labels.tensor(),
                                            .lse = lse.tensor(),
                                            .options = unreduced});
  result.backward = dlogits.read();
  return result;
}

bool all_nan(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isnan(x); });
}

}  // namespace

TEST_CASE("cross entropy: row lengths, dtypes and features", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(cases_of({1, 7, 8, 200, 513}, 17));
  check_all(cases_of({5000, 20'000}, 2));
}

TEST_CASE("cross entropy: a row that a cluster shares", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all({{.shape = {2, 65'537}, .dtype = bf16, .options = {.label_smoothing = 0.1f}},
             {.shape = {1, 32'768}, .dtype = f32, .gradient = false}});
}

TEST_CASE("cross entropy: long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(cases_of({32'000, 50'257, 65'537, 128'256}, 150));
  check_all(cases_of({262'144, 600'000, 1'200'000}, 3));
}

TEST_CASE("cross entropy: strides and alignment", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<CrossEntropyCase> cases;
  for (const DType dtype : {f32, bf16}) {
    for (const Layout& layout :
         {Layout{.padding = 8}, Layout{.padding = 3, .offset = 1}, Layout{.order = {1, 0, 2}}}) {
      cases.push_back({.shape = {3, 4, 261}, .dtype = dtype, .layout = layout, .gradient_layout = layout});
      cases.push_back({.shape = {3, 4, 261}, .dtype = dtype, .layout = layout});
      cases.push_back({.shape = {3, 4, 261}, .dtype = dtype, .in_place = true, .layout = layout});
    }
  }
  check_all(cases);
}

TEST_CASE("cross entropy: a vector moves at most where both tensors are aligned alike", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all({{.shape = {2, 3000}, .layout = {.offset = 3}, .gradient_layout = {.offset = 3}},
             {.shape = {2, 3000}, .layout = {.offset = 3}, .gradient_layout = {.offset = 2}}});
}

TEST_CASE("cross entropy: no rows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all({{.shape = {0, 64}, .options = {.reduction = Reduction::sum}},
             {.shape = {3, 0, 64}, .options = {.reduction = Reduction::none}}});
}

TEST_CASE("cross entropy: infinite logits and NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  SECTION("-inf is a class of probability 0") {
    const OneRow row = one_row({0, -kInf, 0}, 0);
    CHECK(row.loss == Approx(std::log(2.0)));
    CHECK(row.dlogits[1] == 0);
    CHECK(row.dlogits[2] == Approx(0.5));
    CHECK(row.backward == row.dlogits);
    CHECK(one_row({0, -kInf, 0}, 1).loss == kInf);
    CHECK(one_row({0, -kInf, 0}, 1).dlogits[1] == -1);
    CHECK(one_row({0, -kInf, 0}, 0, {.label_smoothing = 0.5f}).loss == kInf);
  }
  SECTION("NaN and +inf") {
    for (const float bad : {kNan, kInf}) {
      const OneRow row = one_row({0, bad, 1, 2, 3, 4, 5}, 0);
      CHECK(std::isnan(row.loss));
      CHECK(std::isnan(row.lse));
      CHECK(all_nan(row.dlogits));
      CHECK(all_nan(row.backward));
      CHECK(one_row({0, bad, 1}, -100).loss == 0);
      CHECK(one_row({0, bad, 1}, -100).dlogits == std::vector<float>{0, 0, 0});
    }
  }
  SECTION("all are -inf") {
    const OneRow row = one_row({-kInf, -kInf}, 0);
    CHECK(std::isnan(row.loss));
    CHECK(row.lse == -kInf);
    CHECK(all_nan(row.dlogits));
    CHECK(all_nan(row.backward));
  }
  SECTION("softcap") {
    const OneRow row = one_row({kInf, -kInf}, 0, {.softcap = 2});
    CHECK(row.loss == Approx(std::log1p(std::exp(-4.0))));
    CHECK(row.dlogits == std::vector<float>{0, 0});
  }
  SECTION("large logits do not overflow") {
    CHECK(one_row({30'000, 30'000, -30'000}, 0).loss == Approx(std::log(2.0)));
    CHECK(one_row({-30'000, -30'001}, 0).loss == Approx(std::log1p(std::exp(-1.0))));
  }
}

TEST_CASE("cross entropy: labels that are no class", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t label : {3, -1, 1 << 20}) {
    const OneRow row = one_row({1, 2, 3}, label);
    CHECK(std::isnan(row.loss));
    CHECK(row.bad == 1);
    CHECK(all_nan(row.dlogits));
    CHECK(all_nan(row.backward));
  }
  CHECK(one_row({1, 2, 3}, 2).bad == 0);
  CHECK(one_row({1, 2, 3}, 2, {.ignore_index = 2}).loss == 0);
}

TEST_CASE("cross entropy: the gradient is the slope of the loss", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<float> logits = reference::random_normal(9, 1, f32);
  const LossOptions options{
      .label_smoothing = 0.2f, .logit_scale = 1.5f, .softcap = 4, .lse_square_scale = 0.01f};
  const auto gradient = one_row(logits, 4, options).dlogits;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float before = logits[i];
    logits[i] = before + 0x1p-5f;
    const float above = one_row(logits, 4, options).loss;
    logits[i] = before - 0x1p-5f;
    const float below = one_row(logits, 4, options).loss;
    logits[i] = before;
    CHECK(gradient[i] == Approx((above - below) * 0x1p4f).margin(1e-3));
  }
}

TEST_CASE("cross entropy: the same call gives the same bits", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  CrossEntropyCall call({.shape = {40, 1000}, .options = {.label_smoothing = 0.1f}});
  CHECK(call.forward_fault(shared_runtime()) == "");
  const auto first = call.bytes();
  for (int repetition = 0; repetition < 3; ++repetition) {
    call.forward_fault(shared_runtime());
    CHECK(call.bytes() == first);
  }
}

}  // namespace sprue::test
