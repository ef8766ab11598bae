// What attention gives to a launch, seen by the fake driver: which kernel, its arguments, tensor maps and
// grid. The kernels are stand-ins that do nothing.
#include <cstring>

#include "ops/attention_problem.h"
#include "ops/attention_sm90.h"
#include "runtime/attention_kernels.h"
#include "runtime/fake_cuda.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i32 = DType::i32;

struct Operators {
  /// What the launch of `args` was: "attention_sm90 HAS_LSE=true", without what is off and without the
  /// extents.
  std::string run(const Attention& args) {
    attention(runtime, args);
    return describe(runtime.impl().loaded().back());
  }
  std::string describe(const KernelInfo& info) {
    const std::string spec = info.spec.substr(0, info.spec.find(" |"));
    std::string text = info.kernel;
    for (std::size_t at = spec.find(' '); at != std::string::npos; at = spec.find(' ', at + 1)) {
      const std::string value = spec.substr(at, spec.find(' ', at + 1) - at);
      if (value.ends_with("=true") || (value.starts_with(" PACKED_HEADS") && !value.ends_with("=1")))
        text += value;
    }
    return text;
  }
  template <class Params>
  Params params() const {
    static_assert(sizeof(Params) <= sizeof fake_cuda.params);
    Params params;
    std::memcpy(static_cast<void*>(&params), fake_cuda.params, sizeof params);
    return params;
  }

  AttentionKernels kernels;
  Runtime runtime{kernels.options()};
};

void* address(std::uintptr_t value) {
  return reinterpret_cast<void*>(value);
}

Tensor tensor(int slot, std::initializer_list<std::int64_t> shape, DType dtype = bf16) {
  return {address(std::uintptr_t(slot) << 32), dtype, shape};
}

/// batch 2, 350 queries, 24 keys, 6 heads of which pairs share keys: as many tiles if pairs share them.
Attention plain() {
  return {.out = tensor(1, {2, 350, 6, 64}),
          .q = tensor(2, {2, 350, 6, 128}),
          .k = tensor(3, {2, 24, 3, 128}),
          .v = tensor(4, {2, 24, 3, 64})};
}

/// Three sequences of together 900 queries and 70 keys.
Attention packed() {
  return {.out = tensor(1, {900, 6, 64}),
          .q = tensor(2, {900, 6, 128}),
          .k = tensor(3, {70, 3, 128}),
          .v = tensor(4, {70, 3, 64}),
          .cu_seqlens_q = tensor(5, {4}, i32),
          .cu_seqlens_k = tensor(6, {4}, i32)};
}

Attention portable(Attention args) {
  args.portable = true;
  return args;
}

const FakeTensorMap& made(const driver::TensorMap& map) {
  return fake_cuda.tensor_maps[map.opaque[0]];
}

template <class Number>
std::vector<std::int64_t> list(const Number* numbers, int count) {
  return {numbers, numbers + count};
}
using List = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("attention: the portable kernel gets its arguments, and a block for each tile of rows of a head") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = portable(plain());
  args.lse = tensor(7, {2, 6, 350}, f32);
  CHECK(ops.run(args) == "attention_portable HAS_LSE=true");
  const auto params = ops.params<AttentionArguments>();
  CHECK(params.q == args.q.data);
  CHECK(params.out == args.out.data);
  CHECK(params.lse == args.lse.data);
  CHECK((params.batch == 2 && params.heads == 6 && params.kv_heads == 3));
  CHECK((params.seqlen_q == 350 && params.seqlen_k == 24));
  CHECK(params.scale == 1 / std::sqrt(128.0f));
  CHECK(params.row_blocks == 3);
  CHECK(fake_cuda.blocks == 3 * 6 * 2);
  CHECK(fake_cuda.tensor_maps_made == 0);
}

TEST_CASE("attention: columns beyond 256 are computed by blocks of their own") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = portable(plain());
  args.out = tensor(1, {2, 350, 6, 512});
  args.v = tensor(4, {2, 24, 3, 512});
  ops.run(args);
  CHECK(fake_cuda.blocks == 2 * 3 * 6 * 2);
}

TEST_CASE("attention: packed queries get as many blocks as their sequences can need") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  CHECK(ops.run(portable(packed())) == "attention_portable PACKED_HEADS=2 VARLEN=true");
  CHECK(ops.params<AttentionArguments>().row_blocks == 17);  // 14 are full, and 3 sequences begin
  CHECK(fake_cuda.blocks == 17 * 3);
  CHECK(ops.params<AttentionArguments>().seqlen_q == 900);
}

TEST_CASE("attention: heads that share a tile are rows of it") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = portable(plain());
  args.q = tensor(2, {2, 3, 6, 128});
  args.out = tensor(1, {2, 3, 6, 64});
  CHECK(ops.run(args) == "attention_portable PACKED_HEADS=2");
  CHECK(ops.params<AttentionArguments>().row_blocks == 1);
  CHECK(fake_cuda.blocks == 3 * 2);
}

TEST_CASE("attention: sm_90 has a kernel of its own, for what tensor maps can describe") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  CHECK(ops.run(plain()) == "attention_sm90 SHORT=true");
  CHECK(ops.runtime.impl().loaded().back().architecture == "sm_90a");
  CHECK(ops.run(portable(plain())) == "attention_portable");
  Attention args = plain();
  args.k.data = address((std::uintptr_t{3} << 32) + 8);
  CHECK(ops.run(args) == "attention_portable");
}

TEST_CASE("attention: what a rule of the sm_90 kernel forbids runs on the portable one") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = plain();
  args.sinks = tensor(7, {6}, f32);
  CHECK(ops.run(args) == "attention_portable SINKS=true");
  CHECK_THAT(ops.kernels.log(), Contains("attention_sm90 is not used: [attention_sm90] for tests"));
  CHECK(fake_cuda.blocks == 3 * 6 * 2);
  ops.run(args);
  CHECK(ops.runtime.counters().memory_misses == 1);  // asked once
  CHECK(prepare(ops.runtime, args).kernel == "attention_portable");
  CHECK(prepare(ops.runtime, plain()).kernel == "attention_sm90");
}

TEST_CASE("attention: a template directory without the sm_90 kernel, or another GPU, is no error") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  fake_cuda_set_device(2);  // sm_75: nothing runs there
  CHECK_THROWS_AS(ops.run(plain()), ArgumentError);
  CHECK_THAT(ops.kernels.log(), Contains("attention_sm90 is not used"));
}

TEST_CASE("attention: tensor maps of plain tensors") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const Attention args = plain();
  ops.run(args);
  CHECK(fake_cuda.tensor_maps_made == 4);
  const auto params = ops.params<AttentionSm90Params>();
  const FakeTensorMap &q = made(params.q), &k = made(params.k), &v = made(params.v);
  CHECK(q.data == args.q.data);
  CHECK(q.type == 9);  // CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
  CHECK(q.rank == 5);
  CHECK(list(q.shape, 5) == List{128, 1, 350, 6, 2});
  CHECK(list(q.stride_bytes, 4) == List{16, 2 * 6 * 128, 2 * 128, 2 * 350 * 6 * 128});
  CHECK(list(q.box, 5) == List{64, 1, 64, 1, 1});
  CHECK(q.swizzle == 3);  // 128 bytes
  CHECK(k.rank == 4);
  CHECK(list(k.shape, 4) == List{128, 24, 3, 2});
  CHECK(list(k.stride_bytes, 3) == List{2 * 3 * 128, 2 * 128, 2 * 24 * 3 * 128});
  CHECK(list(k.box, 4) == List{64, 96, 1, 1});
  CHECK(v.data == args.v.data);
  CHECK(list(v.shape, 4) == List{64, 24, 3, 2});
  const FakeTensorMap& out = made(params.out);
  CHECK(out.data == args.out.data);
  CHECK(list(out.shape, 5) == List{64, 1, 350, 6, 2});
  CHECK(list(out.stride_bytes, 4) == List{16, 2 * 6 * 64, 2 * 64, 2 * 350 * 6 * 64});
  CHECK(list(out.box, 5) == List{64, 1, 16, 1, 1});
  CHECK(params.arguments.seqlen_k == 24);
  CHECK((params.group == 2 && params.arguments.row_blocks == 3 && params.section == 8 &&
         params.last_section == 0 && params.box_rows == 96));
  CHECK(params.counter == nullptr);
  CHECK(fake_cuda.blocks == 3 * 6 * 2);  // fewer than multiprocessors
}

TEST_CASE("attention: tensor maps of heads that share a tile, packed and paged sequences") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = packed();
  args.q = tensor(2, {30, 6, 128});
  args.out = tensor(1, {30, 6, 64});
  CHECK(ops.run(args) == "attention_sm90 PACKED_HEADS=2 SHORT=true VARLEN=true");
  auto params = ops.params<AttentionSm90Params>();
  CHECK(list(made(params.q).shape, 5) == List{128, 2, 30, 3, 1});
  CHECK(list(made(params.q).stride_bytes, 4) == List{2 * 128, 2 * 6 * 128, 2 * 2 * 128, 16});
  CHECK(list(made(params.q).box, 5) == List{64, 2, 32, 1, 1});
  CHECK(list(made(params.out).shape, 5) == List{64, 2, 30, 3, 1});
  CHECK(list(made(params.out).stride_bytes, 4) == List{2 * 64, 2 * 6 * 64, 2 * 2 * 64, 16});
  CHECK(list(made(params.out).box, 5) == List{64, 2, 8, 1, 1});
  CHECK(list(made(params.k).shape, 4) == List{128, 70, 3, 1});
  CHECK(fake_cuda.blocks == 3 * 3);  // of 60 rows of 3 sequences

  args = plain();
  args.k = tensor(3, {50, 16, 3, 128});
  args.v = tensor(4, {50, 16, 3, 64});
  args.block_table = tensor(5, {2, 7}, i32);
  CHECK(ops.run(args) == "attention_sm90 PAGED=true");
  params = ops.params<AttentionSm90Params>();
  CHECK(list(made(params.k).shape, 4) == List{128, 16, 3, 50});
  CHECK(list(made(params.k).box, 4) == List{64, 16, 1, 1});
  CHECK(params.box_rows == 16);
  CHECK(params.arguments.seqlen_k == 7 * 16);
  args.k = tensor(3, {50, 20, 3, 128});
  args.v = tensor(4, {50, 20, 3, 64});
  ops.run(args);
  CHECK(ops.params<AttentionSm90Params>().box_rows == 4);
}

TEST_CASE("attention: rows of a box are as wide as leaves no 16 columns unused") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const auto widths = [&](std::int64_t head_dim, std::int64_t head_dim_v) {
    Attention args = plain();
    args.q = tensor(2, {2, 350, 6, head_dim});
    args.k = tensor(3, {2, 24, 3, head_dim});
    args.v = tensor(4, {2, 24, 3, head_dim_v});
    args.out = tensor(1, {2, 350, 6, head_dim_v});
    ops.run(args);
    const auto params = ops.params<AttentionSm90Params>();
    CHECK(made(params.q).box[0] == made(params.k).box[0]);
    CHECK(16u << made(params.q).swizzle == 2 * made(params.q).box[0]);
    return List{made(params.q).box[0], made(params.v).box[0]};
  };
  CHECK(widths(64, 128) == List{64, 64});
  CHECK(widths(56, 120) == List{64, 64});
  CHECK(widths(96, 88) == List{32, 32});
  CHECK(widths(80, 8) == List{16, 16});
  CHECK(widths(256, 512) == List{64, 64});
  CHECK(widths(128, 264) == List{64, 16});  // parts of 136 columns
  CHECK(fake_cuda.blocks == 3 * 6 * 2 * 2);
}

TEST_CASE("attention: blocks of the sm_90 kernel stay, one per multiprocessor") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = plain();
  args.q = tensor(2, {2, 30000, 6, 128});
  args.out = tensor(1, {2, 30000, 6, 64});
  args.causal = true;
  ops.run(args);
  CHECK(fake_cuda.blocks == 132);
  auto params = ops.params<AttentionSm90Params>();
  CHECK((params.section == 10 && params.last_section == 0));

  args.q = tensor(2, {8, 350, 6, 128});
  args.k = tensor(3, {8, 24, 3, 128});
  args.v = tensor(4, {8, 24, 3, 64});
  args.out = tensor(1, {8, 350, 6, 64});
  ops.run(args);
  params = ops.params<AttentionSm90Params>();
  CHECK((params.section == 10 && params.last_section == 10));  // of 24 pairs: the last one has 14
}

TEST_CASE("attention: blocks draw their tiles from a counter where tiles differ") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = plain();
  ops.run(args);
  CHECK(ops.params<AttentionSm90Params>().counter == nullptr);
  args.causal = true;
  ops.run(args);
  CHECK(ops.params<AttentionSm90Params>().counter != nullptr);
  ops.run(packed());
  CHECK(ops.params<AttentionSm90Params>().counter != nullptr);
}

TEST_CASE("attention: lengths, batch and scale make no kernels") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const auto call = [&](std::int64_t seqlen, std::int64_t head_dim, bool causal, float scale) {
    const Tensor out = tensor(1, {1, seqlen, 2, head_dim}, f16), q = tensor(2, {1, seqlen, 2, head_dim}, f16);
    attention(ops.runtime, {.out = out, .q = q, .k = q, .v = q, .causal = causal, .scale = scale});
    return ops.runtime.counters().memory_misses;
  };
  CHECK(call(16, 64, false, 1) == 1);
  CHECK(call(77, 64, false, 2) == 1);
  CHECK(call(16, 64, true, 1) == 2);
  CHECK(call(16, 32, true, 1) == 3);
  CHECK(call(16, 64, false, 3) == 3);
  CHECK(ops.runtime.counters().launches == 5);
}

TEST_CASE("attention: a kernel that is not loaded allocates nothing during a capture") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention args = plain();
  args.causal = true;
  fake_cuda.capturing = true;
  CHECK_THROWS_AS(attention(ops.runtime, args), CaptureError);
  CHECK(fake_cuda.allocations == 0);
  prepare(ops.runtime, args);
  CHECK(fake_cuda.allocations == 0);
  attention(ops.runtime, args);
  CHECK(ops.params<AttentionSm90Params>().counter == nullptr);  // tiles in turn
  fake_cuda.capturing = false;
  attention(ops.runtime, args);
  CHECK(fake_cuda.allocations == 1);
  CHECK(ops.params<AttentionSm90Params>().counter != nullptr);
}

TEST_CASE("attention: prepare() loads the very kernel of a later launch") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  Attention later = packed();
  for (Tensor* output : {&later.out}) output->data = nullptr;
  for (ConstTensor* input : {&later.q, &later.k, &later.v, &later.cu_seqlens_q, &later.cu_seqlens_k}) {
    input->data = nullptr;
  }
  CHECK(prepare(ops.runtime, later).kernel == "attention_sm90");
  fake_cuda.capturing = true;
  CHECK_NOTHROW(attention(ops.runtime, packed()));
  CHECK_THROWS_AS(attention(ops.runtime, plain()), CaptureError);
}
