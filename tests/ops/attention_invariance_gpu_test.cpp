// attention on the GPU: the same call gives the same bits, and so does a sequence in any company.
#include <array>

#include "driver/device.h"
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

/// Number n is the same sequence in every batch: its values and its lengths.
constexpr std::array<std::array<std::int64_t, 2>, 7> kSequences{
    {{65, 300}, {129, 129}, {1, 1100}, {300, 64}, {0, 50}, {1, 1}, {513, 513}}};

using Numbers = std::vector<std::uint64_t>;

AttentionCase batch_of(AttentionCase c, const Numbers& numbers) {
  auto& s = c.shape;
  s.batch = static_cast<std::int64_t>(numbers.size());
  s.seqlen_q = s.seqlen_k = 0;
  c.identities = numbers;
  for (const std::uint64_t number : numbers) {
    const auto& [q, k] = kSequences[number];
    s.lengths_q.push_back(q);
    s.lengths_k.push_back(k);
    s.seqlen_q = std::max(s.seqlen_q, q);
    s.seqlen_k = std::max(s.seqlen_k, k);
  }
  return c;
}

std::vector<AttentionCase> storages() {
  std::vector<AttentionCase> cases;
  const Storage stored[][2] = {{{.packed = true}, {.packed = true}},
                               {{.packed = true}, {.page_size = 16}},
                               {{.slack = true}, {.slack = true}},
                               {{.slack = true}, {.page_size = 256, .slack = true}}};
  for (const auto& [q, k] : stored) {
    AttentionCase c = sequences(1, 1, cases.size() % 2 == 0 ? 128 : 64, true, DType::bf16);
    c.shape.heads = 4;
    c.shape.kv_heads = 2;
    c.q_storage = q;
    c.k_storage = k;
    c.batch_invariant = true;
    cases.push_back(c);
  }
  AttentionCase c = cases[1];
  c.shape.window_left = 200;
  c.shape.softcap = 25;
  c.slopes = Slopes::per_head;
  c.sinks = true;
  cases.push_back(c);
  return cases;
}

/// The bits of sequence b; perhaps also compares the whole batch with the truth.
std::vector<std::byte> bytes_of(const AttentionCase& c, std::int64_t b, bool compare = false) {
  AttentionCall call(c);
  call.run(shared_runtime());
  driver::synchronize_device();
  if (compare) CHECK(call.fault() == "");
  return call.sequence_bytes(b);
}

/// `count` other sequences, all of them in turn.
Numbers company(std::size_t count) {
  Numbers numbers;
  for (std::size_t i = 0; i < count; ++i) numbers.push_back(1 + i % (kSequences.size() - 1));
  return numbers;
}

}  // namespace

TEST_CASE("attention: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<AttentionCase> cases = {sequences(513, 700, 64, true, DType::bf16),
                                      sequences(513, 700, 128, false, DType::f16)};
  for (const AttentionCase& c : storages()) cases.push_back(batch_of(c, {0, 1, 2, 3, 6}));
  cases.back().batch_invariant = false;
  AttentionCase decode = sequences(1, 2049, 128, true, DType::bf16);
  decode.shape.heads = 12;
  cases.push_back(decode);
  cases.push_back(cases.front());
  cases.back().shape.dropout = {.probability = 0.3f, .seed = 1};
  for (const AttentionCase& c : cases) {
    AttentionCall call(c);
    for (const bool portable : {false, true}) {
      call.set_portable(portable);
      INFO(c.print() << (portable ? ", portable" : ""));
      call.poison();
      call.run(shared_runtime());
      const auto first = call.result_bytes();
      int different = 0;
      for (int repetition = 0; repetition < 20; ++repetition) {
        call.poison();
        call.run(shared_runtime());
        different += call.result_bytes() != first;
      }
      CHECK(different == 0);
      CHECK(call.fault() == "");
    }
  }
}

TEST_CASE("attention: batch_invariant: a sequence has the same bits alone and in any company", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (AttentionCase c : storages()) {
    for (const bool portable : {false, true}) {
      c.portable = portable;
      for (const std::uint64_t number : {0, 2, 6}) {
        INFO(c.print() << ", sequence " << number);
        const auto alone = bytes_of(batch_of(c, {number}), 0);
        CHECK(!alone.empty());
        Numbers first = {number, 1, 3, 4, 5}, last = {6, 4, 1, number}, among = company(16);
        among.insert(among.begin() + 9, number);
        CHECK(bytes_of(batch_of(c, first), 0) == alone);
        CHECK(bytes_of(batch_of(c, last), 3) == alone);
        CHECK(bytes_of(batch_of(c, among), 9, true) == alone);
        CHECK(bytes_of(batch_of(c, {number, number}), 1) == alone);
      }
    }
  }
}

TEST_CASE("attention: batch_invariant: nor do batches of equal lengths make a difference", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t seqlen_q : {1, 3, 130}) {
    for (const bool portable : {false, true}) {
      AttentionCase c = sequences(seqlen_q, 1023, 128, true, DType::bf16);
      c.shape.heads = 8;
      c.shape.kv_heads = 2;
      c.batch_invariant = true;
      c.portable = portable;
      INFO(c.print());
      const auto in_batch = [&](std::int64_t batch, std::int64_t b) {
        c.shape.batch = batch;
        c.identities.assign(static_cast<std::size_t>(batch), 1);
        c.identities[static_cast<std::size_t>(b)] = 0;
        return bytes_of(c, b, batch == 2);
      };
      const auto alone = in_batch(1, 0);
      CHECK(in_batch(2, 1) == alone);
      CHECK(in_batch(33, 32) == alone);
      CHECK(in_batch(33, 7) == alone);
    }
  }
}

}  // namespace sprue::test
