// attention on the GPU: every schedule of a problem computes the same, and drops the same.
#include "driver/device.h"
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

/// A case, and about how many schedules of either family are tried.
struct Sample {
  AttentionCase c;
  std::size_t most = 0;
};

/// Calls body(call, runtime) for legal schedules of the kernels that each case gets from either family. All
/// of them are compiled first.
template <class Body>
void for_each_schedule(const std::vector<Sample>& samples, const Body& body) {
  std::vector<KernelSpec> specs;
  std::vector<std::size_t> first;  // of the specs of each sample and family
  for (const Sample& sample : samples) {
    for (const bool portable : {false, true}) {
      AttentionCase c = sample.c;
      c.portable = portable;
      const KernelSpec usual = spec_of(prepare(shared_runtime(), call_of(c)).spec);
      const std::vector<Values> schedules = schedules_of(usual.kernel, usual.problem, sample.most);
      CHECK(!schedules.empty());
      first.push_back(specs.size());
      for (const Values& schedule : schedules) specs.push_back({usual.kernel, usual.problem, schedule});
    }
  }
  first.push_back(specs.size());
  build_all(specs);
  for (std::size_t family = 0; family + 1 < first.size(); ++family) {
    const AttentionCase& c = samples[family / 2].c;
    INFO(c.print());
    AttentionCall call(c);
    call.set_portable(family % 2 == 1);
    for (std::size_t i = first[family]; i < first[family + 1]; ++i) {
      const KernelSpec& spec = specs[i];
      Runtime runtime(with_schedule(spec.kernel, spec.problem, spec.schedule));
      INFO(spec.kernel << " " << print(spec.schedule));
      CHECK_THAT(prepare(runtime, call.args()).spec, EndsWith("| " + print(spec.schedule)));
      call.poison();
      call.run(runtime);
      driver::synchronize_device();
      CHECK(call.fault() == "");
      body(call);
    }
  }
}

void check_schedules(const std::vector<Sample>& samples) {
  for_each_schedule(samples, [](const AttentionCall&) {});
}

/// Checks a call whose out passes through shared memory 64 columns at once; false where that is not possible:
/// not on Hopper.
bool check_staged(const AttentionCase& c) {
  INFO(c.print());
  AttentionCall call(c);
  const KernelSpec usual = spec_of(prepare(shared_runtime(), call.args()).spec);
  if (usual.kernel != "attention_sm90") return false;
  Values schedule = usual.schedule;
  schedule["BLOCK_M"] = std::int64_t{128};  // some problems' tiles of 192 rows have no registers left for it
  schedule["STAGED_COLUMNS"] = std::int64_t{64};
  Runtime runtime(with_schedule(usual.kernel, usual.problem, schedule));
  CHECK_THAT(prepare(runtime, call.args()).spec, EndsWith("| " + print(schedule)));
  call.run(runtime);
  driver::synchronize_device();
  CHECK(call.fault() == "");
  return true;
}

constexpr std::size_t kMany = 14, kSome = 6;

}  // namespace

TEST_CASE("attention: schedules compute the same", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionCase odd = sequences(129, 200, 72, false, DType::f16);
  odd.shape.head_dim_v = 40;
  check_schedules({{sequences(300, 333, 128, true, DType::bf16), kMany}, {odd, kMany}});
}

TEST_CASE("attention: schedules of problems with many features compute the same", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(300, 333, 64, true, DType::f16);
  c.shape.heads = 6;
  c.shape.lengths_q = {300, 77};
  c.shape.lengths_k = {250, 333};
  c.q_storage.packed = true;
  c.k_storage.page_size = 16;
  c.shape.window_left = 120;
  c.shape.softcap = 20;
  c.slopes = Slopes::per_head;
  c.bias.given = true;
  c.sinks = true;

  AttentionCase decode = sequences(1, 700, 128, true, DType::bf16);
  decode.shape.heads = 24;

  AttentionCase wide = sequences(150, 200, 192, false, DType::bf16);
  wide.shape.head_dim_v = 128;
  wide.shape.chunk = 90;
  check_schedules({{c, kSome}, {decode, kSome}, {wide, kSome}});
}

TEST_CASE("attention: out of sequences of different lengths passes through shared memory",
          "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  constexpr std::int64_t kHeads[][3] = {{64, 3, 3}, {128, 3, 3}, {128, 8, 2}, {64, 8, 1}};
  for (const auto& [head_dim, heads, kv_heads] : kHeads) {
    AttentionCase c = sequences(100, 120, head_dim, true, DType::bf16);
    c.shape.heads = heads;
    c.shape.kv_heads = kv_heads;
    c.shape.batch = 6;
    c.shape.lengths_q = {100, 16, 33, 0, 77, 64};
    c.shape.lengths_k = {120, 60, 1, 40, 0, 64};
    for (const Storage& storage :
         {Storage{.packed = true}, Storage{.packed = true, .slack = true}, Storage{}}) {
      c.q_storage = storage;
      if (!check_staged(c)) return;
    }
  }
}

TEST_CASE("attention: out of heads that share a tile passes through shared memory", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  // Boxes of 16 rows: 2 heads of 8 queries to 16 heads of one, and parts of 64 heads.
  constexpr std::int64_t kShapes[][3] = {{150, 6, 3}, {150, 8, 1}, {7, 32, 2}, {2, 64, 1}};
  for (const auto& [seqlen_q, heads, kv_heads] : kShapes) {
    AttentionCase c = sequences(seqlen_q, 170, 128, true, DType::f16);
    c.shape.heads = heads;
    c.shape.kv_heads = kv_heads;
    if (!check_staged(c)) return;
    c.q_storage = {.packed = true};
    c.shape.batch = 3;
    c.shape.lengths_q = {seqlen_q, 1, seqlen_q / 2};
    if (!check_staged(c)) return;
  }
}

TEST_CASE("attention: what is dropped depends on neither kernel, schedule nor storage", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(150, 270, 64, false, DType::bf16);
  c.shape.dropout = {.probability = 0.4f, .seed = 0xfedcba9876543210, .offset = 12345678901};
  c.probabilities = true;
  std::vector<bool> first;
  for_each_schedule({{c, kSome}}, [&](const AttentionCall& call) {
    if (first.empty()) first = call.dropped();
    CHECK(call.dropped() == first);
  });
  c.q_storage = {.packed = true, .slack = true};
  for (const Storage& storage : {Storage{.packed = true}, Storage{.page_size = 16}}) {
    c.k_storage = storage;
    for (const bool portable : {false, true}) {
      c.portable = portable;
      INFO(c.print());
      AttentionCall other(c);
      other.run(shared_runtime());
      driver::synchronize_device();
      CHECK(other.dropped() == first);
    }
  }
}

}  // namespace sprue::test
