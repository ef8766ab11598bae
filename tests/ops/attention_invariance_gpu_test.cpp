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
    {{65, 300}, {129, 129}, {1, 700}, {300, 64}, {0, 50}, {1, 1}, {385, 385}}};

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

/// A sequence of a batch, whose bits are compared with those of others in the same group.
struct Member {
  AttentionCase batch;
  std::int64_t sequence = 0;
  bool compare = false;  ///< Also the whole batch with the truth.
  std::vector<std::byte> bytes = {};
  std::string fault = {};
};

/// Runs all batches, several at a time, and CHECKs that the sequences of each group have the same bits.
void check_groups(std::vector<std::vector<Member>> groups) {
  std::vector<Member*> members;
  for (auto& group : groups) {
    for (Member& member : group) members.push_back(&member);
  }
  in_parallel(members.size(), [&](std::size_t i) {
    Member& member = *members[i];
    AttentionCall call(member.batch);
    call.run(shared_runtime());
    driver::synchronize_device();
    if (member.compare) member.fault = call.fault();
    member.bytes = call.sequence_bytes(member.sequence);
  });
  for (const auto& group : groups) {
    CHECK(!group.front().bytes.empty());
    for (const Member& member : group) {
      INFO(member.batch.print() << ", sequence " << member.sequence);
      CHECK(member.fault == "");
      CHECK(member.bytes == group.front().bytes);
    }
  }
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
  std::vector<int> different(2 * cases.size());
  std::vector<std::string> faults(different.size());
  in_parallel(different.size(), [&](std::size_t i) {
    AttentionCase c = cases[i / 2];
    c.portable = i % 2 == 1;
    AttentionCall call(c);
    call.run(shared_runtime());
    driver::synchronize_device();
    const auto first = call.result_bytes();
    for (int repetition = 0; repetition < 20; ++repetition) {
      call.poison();
      call.run(shared_runtime());
      different[i] += call.result_bytes() != first;
    }
    faults[i] = call.fault();
  });
  for (std::size_t i = 0; i < different.size(); ++i) {
    INFO(cases[i / 2].print() << (i % 2 == 1 ? ", portable" : ""));
    CHECK(different[i] == 0);
    CHECK(faults[i] == "");
  }
}

TEST_CASE("attention: batch_invariant: a sequence has the same bits alone and in any company", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<std::vector<Member>> groups;
  for (AttentionCase c : storages()) {
    for (const bool portable : {false, true}) {
      c.portable = portable;
      for (const std::uint64_t number : {0, 2, 6}) {
        Numbers first = {number, 1, 3, 4, 5}, last = {6, 4, 1, number}, among = company(12);
        among.insert(among.begin() + 7, number);
        groups.push_back({{batch_of(c, {number}), 0},
                          {batch_of(c, first), 0},
                          {batch_of(c, last), 3},
                          {batch_of(c, among), 7, true},
                          {batch_of(c, {number, number}), 1}});
      }
    }
  }
  check_groups(std::move(groups));
}

TEST_CASE("attention: batch_invariant: nor do batches of equal lengths make a difference", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<std::vector<Member>> groups;
  for (const std::int64_t seqlen_q : {1, 3, 130}) {
    for (const bool portable : {false, true}) {
      AttentionCase c = sequences(seqlen_q, 1023, 128, true, DType::bf16);
      c.shape.heads = 8;
      c.shape.kv_heads = 2;
      c.batch_invariant = true;
      c.portable = portable;
      const auto in_batch = [&](std::int64_t batch, std::int64_t b) {
        c.shape.batch = batch;
        c.identities.assign(static_cast<std::size_t>(batch), 1);
        c.identities[static_cast<std::size_t>(b)] = 0;
        return Member{c, b, batch == 2};
      };
      groups.push_back({in_batch(1, 0), in_batch(2, 1), in_batch(17, 16), in_batch(17, 7)});
    }
  }
  check_groups(std::move(groups));
}

}  // namespace sprue::test
