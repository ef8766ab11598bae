// attention on the GPU: every schedule of a problem computes the same, and drops the same.
#include "driver/device.h"
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

/// Calls body(runtime, schedule) for legal schedules of the kernel that a call gets: for all, or for about
/// `most`.
template <class Body>
void for_each_schedule(const Attention& args, std::size_t most, const Body& body) {
  const KernelSpec spec = spec_of(prepare(shared_runtime(), args).spec);
  const std::vector<Values> schedules = built_schedules(spec.kernel, spec.problem, most);
  CHECK(!schedules.empty());
  for (const Values& schedule : schedules) {
    Runtime runtime(with_schedule(spec.kernel, spec.problem, schedule));
    INFO(spec.kernel << " " << print(schedule));
    CHECK_THAT(prepare(runtime, args).spec, EndsWith("| " + print(schedule)));
    body(runtime, schedule);
  }
}

void check_schedules(const AttentionCase& c, std::size_t most) {
  INFO(c.print());
  AttentionCall call(c);
  for (const bool portable : {false, true}) {
    call.set_portable(portable);
    for_each_schedule(call.args(), most, [&](Runtime& runtime, const Values&) {
      call.poison();
      call.run(runtime);
      driver::synchronize_device();
      CHECK(call.fault() == "");
    });
  }
}

constexpr std::size_t kMany = 32, kSome = 8;

}  // namespace

TEST_CASE("attention: schedules compute the same", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_schedules(sequences(300, 333, 128, true, DType::bf16), kMany);
  AttentionCase odd = sequences(129, 200, 72, false, DType::f16);
  odd.shape.head_dim_v = 40;
  check_schedules(odd, kMany);
}

TEST_CASE("attention: schedules of problems with many features compute the same", "[gpu]") {
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
  check_schedules(c, kSome);

  AttentionCase decode = sequences(1, 700, 128, true, DType::bf16);
  decode.shape.heads = 24;
  check_schedules(decode, kSome);

  AttentionCase wide = sequences(150, 200, 192, false, DType::bf16);
  wide.shape.head_dim_v = 128;
  wide.shape.chunk = 90;
  check_schedules(wide, kSome);
}

TEST_CASE("attention: what is dropped depends on neither kernel, schedule nor storage", "[gpu]") {
  SKIP_WITHOUT_GPU();
  AttentionCase c = sequences(150, 270, 64, false, DType::bf16);
  c.shape.dropout = {.probability = 0.4f, .seed = 0xfedcba9876543210, .offset = 12345678901};
  c.probabilities = true;
  AttentionCall call(c);
  std::vector<bool> first;
  for (const bool portable : {false, true}) {
    call.set_portable(portable);
    for_each_schedule(call.args(), kSome, [&](Runtime& runtime, const Values&) {
      call.poison();
      call.run(runtime);
      driver::synchronize_device();
      CHECK(call.fault() == "");
      if (first.empty()) first = call.dropped();
      CHECK(call.dropped() == first);
    });
  }
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
