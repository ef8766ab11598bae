// AttentionCase: shapes and numbers, on the host.
// accepts.
#include "ops/attention_case.h"

#include <algorithm>
#include <cmath>

#include "ops/fixture.h"
#include "support/catch.h"

namespace sprue::test {
namespace {

using Shape = std::vector<std::int64_t>;

AttentionCase packed_and_paged() {
  AttentionCase c = sequences(70, 130, 64, true, DType::f16);
  c.shape.lengths_q = {70, 13};
  c.shape.lengths_k = {40, 130};
  c.q_storage.packed = true;
  c.k_storage.page_size = 16;
  c.bias.given = true;
  c.sinks = true;
  c.probabilities = true;
  c.slopes = Slopes::per_sequence;
  return c;
}

}  // namespace

TEST_CASE("the tensors of a case have the shapes of sprue::Attention") {
  const AttentionCase c = packed_and_paged();
  const TensorSpecs specs = specs_of(c);
  CHECK(specs[kQ]->shape == Shape{83, 3, 64});
  CHECK(specs[kK]->shape == Shape{3 + 9 + 2, 16, 3, 64});
  CHECK(specs[kLse]->shape == Shape{3, 83});
  CHECK(specs[kBias]->shape == Shape{2, 3, 70, 144});
  CHECK(specs[kProbabilities]->shape == Shape{2, 3, 70, 144});
  CHECK(specs[kSlopes]->shape == Shape{2, 3});
  CHECK(specs[kCuQ]->shape == Shape{3});
  CHECK(specs[kUsedK]->shape == Shape{2});
  CHECK(specs[kTable]->shape == Shape{2, 9});
  CHECK_FALSE(specs[kCuK]);
  CHECK_FALSE(specs[kUsedQ]);
  const Attention args = call_of(c);
  CHECK(args.q.extents.print() == "[83, 3, 64]");
  CHECK(args.block_table.dtype == DType::i32);
  CHECK_FALSE(args.cu_seqlens_k.given());
}

TEST_CASE("the values of a sequence follow from its identity, whatever the lengths of others") {
  AttentionCase one = sequences(5, 7, 8, false, DType::bf16), two = sequences(9, 8, 8, false, DType::bf16);
  one.shape.batch = 1;
  one.identities = {3};
  two.identities = {1, 3};
  const AttentionValues a(one), b(two);
  CHECK(std::equal(a.q.begin(), a.q.end(), b.q.begin() + 9 * 3 * 8));
  CHECK(std::equal(a.k.begin(), a.k.end(), b.k.begin() + 8 * 3 * 8));
  CHECK_FALSE(std::equal(a.q.begin(), a.q.end(), b.q.begin()));
}

TEST_CASE("a bias is NaN where no sequence reaches, and the reference does not read it there") {
  AttentionCase c = packed_and_paged();
  const auto count_nan = [](const std::vector<float>& values) {
    return std::count_if(values.begin(), values.end(), [](float x) { return std::isnan(x); });
  };
  const auto finite = [&](const AttentionCase& some) {
    const AttentionValues values(some);
    const auto result = reference::attention(some.shape, values.inputs(some));
    return std::none_of(result.out.begin(), result.out.end(), [](double x) { return std::isnan(x); });
  };
  CHECK(count_nan(AttentionValues(c).bias) == 3 * (2 * 70 * 144 - 70 * 40 - 13 * 130));
  CHECK(finite(c));
  c.bias.same_sequences = c.bias.same_queries = true;
  CHECK(count_nan(AttentionValues(c).bias) == 3 * 14);
  CHECK(finite(c));
  c.bias.hidden = 0.5f;
  const auto values = AttentionValues(c).bias;
  const auto hidden = std::count(values.begin(), values.end(), -INFINITY);
  CHECK(hidden > 3 * 130 / 3);
  CHECK(hidden < 3 * 130 * 2 / 3);
}

TEST_CASE("a printed spec is read back") {
  const KernelSpec spec =
      spec_of("attention_portable BIAS=none CAUSAL=true HEAD_DIM=128 | BLOCK_M=64 BLOCK_N=32");
  CHECK(spec.kernel == "attention_portable");
  CHECK(print(spec) == "attention_portable BIAS=none CAUSAL=true HEAD_DIM=128 | BLOCK_M=64 BLOCK_N=32");
  CHECK(std::get<bool>(spec.problem.at("CAUSAL")));
  CHECK(tile_of(print(spec)) == 32);
}

}  // namespace sprue::test
