// attention on the GPU: sequences of different lengths, packed, padded and in pages.
#include <cmath>

#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

const std::vector<std::int64_t> kLengthsQ = {129, 0, 1, 385, 64, 65, 0, 3},
                                kLengthsK = {64, 300, 0, 385, 530, 65, 0, 100};
const Storage kPadded{.slack = true}, kPacked{.packed = true}, kLoose{.packed = true, .slack = true};

/// The lengths above, 4 heads of which two share a head of keys.
AttentionCase batch_of(const Storage& q, const Storage& k, std::int64_t head_dim, bool causal) {
  AttentionCase c = sequences(385, 530, head_dim, causal, causal ? DType::f16 : DType::bf16);
  c.shape.heads = 4;
  c.shape.kv_heads = 2;
  c.shape.batch = static_cast<std::int64_t>(kLengthsQ.size());
  c.shape.lengths_q = kLengthsQ;
  c.shape.lengths_k = kLengthsK;
  c.q_storage = q;
  c.k_storage = k;
  return c;
}

/// As many queries as keys everywhere, or few of them.
AttentionCase pages_of(std::int64_t page_size, bool decode) {
  AttentionCase c = batch_of(decode ? Storage{} : kPacked, {.page_size = page_size}, decode ? 128 : 64, true);
  c.shape.lengths_q = decode ? std::vector<std::int64_t>() : c.shape.lengths_k;
  c.shape.seqlen_q = decode ? 2 : c.shape.seqlen_k;
  return c;
}

std::vector<AttentionCase> packed_sequences() {
  std::vector<AttentionCase> cases;
  for (const std::int64_t head_dim : {64, 128, 192}) {
    for (const bool causal : {false, true}) {
      if (head_dim < 192 || causal) cases.push_back(batch_of(kPacked, kPacked, head_dim, causal));
    }
  }
  return cases;
}

std::vector<AttentionCase> slack() {
  std::vector<AttentionCase> cases;
  for (const Storage& q : {Storage{}, kPadded, kPacked, kLoose}) {
    for (const Storage& k : {Storage{}, kPadded, kPacked, kLoose}) {
      for (const bool causal : {false, true}) {
        AttentionCase c = batch_of(q, k, 64, causal);
        if (!q.packed && !q.slack) c.shape.lengths_q.clear();
        if (!k.packed && !k.slack) c.shape.lengths_k.clear();
        cases.push_back(c);
      }
    }
  }
  return cases;
}

std::vector<AttentionCase> pages() {
  std::vector<AttentionCase> cases;
  for (const std::int64_t page_size : {1, 8, 16, 17, 48, 64, 128, 256, 2048}) {
    for (const bool decode : {false, true}) cases.push_back(pages_of(page_size, decode));
    AttentionCase c = batch_of(kLoose, {.page_size = page_size, .slack = true}, 128, page_size % 32 == 0);
    cases.push_back(c);
  }
  for (const std::int64_t page_size : {16, 64, 256}) {  // all of the same length: no seqused
    AttentionCase c = sequences(100, 512, 64, true, DType::f16);
    c.k_storage.page_size = page_size;
    cases.push_back(c);
    c.layout.order = {0, 2, 1, 3};  // [pages, kv_heads, page_size, head_dim]
    cases.push_back(c);
    c.layout = {.padding = 1, .offset = 1};
    cases.push_back(c);
  }
  return cases;
}

std::vector<AttentionCase> wild_tables() {
  std::vector<AttentionCase> cases;
  for (const std::int64_t page_size : {1, 16, 48, 256}) {
    for (const bool decode : {false, true}) {
      AttentionCase c = pages_of(page_size, decode);
      c.k_storage.slack = c.k_storage.wild = true;
      cases.push_back(c);
    }
  }
  return cases;
}

std::vector<AttentionCase> features() {
  using Change = void (*)(AttentionCase&);
  constexpr Change kChanges[] = {
      [](AttentionCase& x) { x.shape.window_left = 50, x.shape.window_right = 20; },
      [](AttentionCase& x) { x.shape.chunk = 100; },
      [](AttentionCase& x) { x.slopes = Slopes::per_sequence; },
      [](AttentionCase& x) { x.bias.given = true; },
      [](AttentionCase& x) { x.sinks = true; },
      [](AttentionCase& x) {
        x.shape.dropout = {.probability = 0.3f, .seed = 11};
        x.probabilities = true;
      },
      [](AttentionCase& x) { x.shape.empty_lse = INFINITY; },
  };
  std::vector<AttentionCase> cases;
  bool causal = false;  // two kernels for each feature: with one mask in pages, with the other one without
  for (const Change change : kChanges) {
    for (const Storage& k : {kLoose, kPadded, Storage{.page_size = 48}}) {
      AttentionCase c = batch_of(kLoose, k, 64, causal != (k.page_size > 0));
      change(c);
      cases.push_back(c);
    }
    causal = !causal;
  }
  return cases;
}

std::vector<AttentionCase> nothing() {
  std::vector<AttentionCase> cases;
  for (const Storage& k : {kPacked, kPadded, Storage{.page_size = 16}}) {
    AttentionCase c = batch_of(kPacked, k, 64, true);
    c.shape.batch = 3;
    c.shape.lengths_q = {5, 0, 70};
    c.shape.lengths_k = {0, 0, 0};
    cases.push_back(c);  // no keys at all
    c.sinks = true;
    cases.push_back(c);
    c.sinks = false;
    c.shape.lengths_q = {0, 0, 0};
    cases.push_back(c);  // no queries and no keys
    c.shape.lengths_k = {5, 0, 70};
    cases.push_back(c);  // no queries
    c.shape.batch = 0;
    c.shape.lengths_q = c.shape.lengths_k = {};
    cases.push_back(c);  // no sequences
  }
  return cases;
}

const Ahead kAhead({packed_sequences, slack, pages, wild_tables, features, nothing});

}  // namespace

TEST_CASE("attention: packed sequences of different lengths", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), packed_sequences());
}

TEST_CASE("attention: rows beyond seqused are neither read nor written", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), slack());
}

TEST_CASE("attention: keys and values in pages", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), pages());
}

TEST_CASE("attention: entries of a block table beyond a sequence are not followed", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), wild_tables());
}

TEST_CASE("attention: every feature knows where a sequence begins and ends", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), features());
}

TEST_CASE("attention: batches and sequences of nothing", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), nothing());
}

TEST_CASE("attention: hundreds of short sequences", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = batch_of(kPacked, kPacked, 64, true);
  c.shape.batch = 300;
  c.shape.seqlen_q = c.shape.seqlen_k = 40;
  c.shape.lengths_q.clear();
  c.shape.lengths_k.clear();
  for (std::int64_t b = 0; b < 300; ++b) {
    c.shape.lengths_q.push_back(b * 7 % 41);
    c.shape.lengths_k.push_back(b * 11 % 41);
  }
  AttentionCase paged = c;
  paged.k_storage = {.page_size = 16};
  check_all(shared_runtime(), {c, paged});
}

}  // namespace sprue::test
