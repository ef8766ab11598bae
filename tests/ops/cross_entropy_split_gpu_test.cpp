// Classes that ranks share: cross_entropy_partials, cross_entropy_combine and cross_entropy_backward, all
// ranks on one GPU.
#include <cmath>

#include "ops/cross_entropy_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

void check(const CrossEntropyCase& c, std::int64_t ranks) {
  INFO(c.print() << ", " << ranks << " ranks");
  CHECK(CrossEntropyCall(c).split_fault(shared_runtime(), ranks) == "");
}

}  // namespace

TEST_CASE("cross entropy: ranks share the classes", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const LossOptions all{
      .label_smoothing = 0.1f, .logit_scale = 0.5f, .softcap = 5, .lse_square_scale = 1e-3f};
  check({.shape = {15, 4 * 65}, .dtype = DType::f32, .options = {.reduction = Reduction::none}}, 4);
  check({.shape = {3, 5, 4 * 64}, .label_type = DType::i32, .options = all, .in_place = true}, 4);
  check({.shape = {9, 7}, .options = {.reduction = Reduction::sum}}, 7);
  check({.shape = {9, 40}, .dtype = DType::f16, .options = all}, 1);
}

TEST_CASE("cross entropy: ranks share a long vocabulary", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check({.shape = {200, 128'256}, .options = {.label_smoothing = 0.1f}}, 8);
}

TEST_CASE("cross entropy: ranks agree about labels that are no class", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  DeviceTensor partials(DType::f32, {2, 3, 3}), labels(DType::i64, {3}), loss(DType::f32, {3}),
      bad(DType::i32, {1});
  partials.write(std::vector<float>(18, 1));
  labels.write(std::vector<float>{8, -100, 7});
  cross_entropy_combine(shared_runtime(), {.loss = loss.tensor(),
                                           .partials = partials.tensor(),
                                           .labels = labels.tensor(),
                                           .total_classes = 8,
                                           .bad_labels = bad.tensor(),
                                           .options = {.reduction = Reduction::none}});
  CHECK(bad.read() == std::vector<float>{1});
  CHECK(std::isnan(loss.read()[0]));
  CHECK(loss.read()[1] == 0);
  CHECK(loss.read()[2] == Approx(1 + std::log(2.0) - 2));
}

}  // namespace sprue::test
