// attention refuses bad arguments in the caller's words, before it needs a GPU.
#include "ops/attention_host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

}  // namespace

TEST_CASE("attention: good arguments pass") {
  CHECK(passes_checks(good()));
  Attention args = good();
  args.lse = {};
  args.causal = true;
  CHECK(passes_checks(args));
}

TEST_CASE("attention: ranks and dtypes") {
  Attention args = good();
  args.q = {};
  CHECK(refusal(args) == "[attention] q must have dtype f16 or bf16, but has f32");
  args.q = tensor(2, {2, 16, 128});
  CHECK(refusal(args) ==
        "[attention] q must have 4 dimensions [batch, seqlen_q, heads, head_dim], but has 3");
  args = good();
  args.k.dtype = bf16;
  CHECK(refusal(args) == "[attention] k must have the dtype of q, f16, but has bf16");
  args = good();
  args.lse.dtype = f16;
  CHECK(refusal(args) == "[attention] lse must have dtype f32, but has f16");
  args = good();
  args.lse = tensor(5, {2, 6, 16, 1}, f32);
  CHECK(refusal(args) == "[attention] lse must have 3 dimensions [batch, heads, seqlen_q], but has 4");
}

TEST_CASE("attention: extents that must agree") {
  Attention args = good();
  args.k = tensor(3, {2, 24, 3, 96});
  CHECK(refusal(args) == "[attention] k must have 128 channels, the last extent of q, but has 96");
  args = good();
  args.k = tensor(3, {1, 24, 3, 128});
  CHECK(refusal(args) == "[attention] k must have 2 batches, as q, but has 1");
  args = good();
  args.v = tensor(4, {2, 23, 3, 64});
  CHECK(refusal(args) == "[attention] v must have 24 positions, as k, but has 23");
  args = good();
  args.v = tensor(4, {2, 24, 6, 64});
  CHECK(refusal(args) == "[attention] v must have 3 heads, as k, but has 6");
  args = good();
  args.out = tensor(1, {2, 16, 6, 128});
  CHECK(refusal(args) == "[attention] out must have 64 channels, the last extent of v, but has 128");
  args = good();
  args.out = tensor(1, {2, 17, 6, 64});
  CHECK(refusal(args) == "[attention] out must have 16 positions, as q, but has 17");
  args = good();
  args.lse = tensor(5, {2, 16, 6}, f32);
  CHECK(refusal(args) == "[attention] lse must have 6 heads, as q, but has 16");
}

TEST_CASE("attention: head dimensions and heads") {
  Attention args = good();
  args.q = tensor(2, {2, 16, 6, 100});
  CHECK(refusal(args) ==
        "[attention] the last extent of q must be a multiple of 8 from 8 to 256, but is 100");
  args.q = tensor(2, {2, 16, 6, 264});
  CHECK(refusal(args) ==
        "[attention] the last extent of q must be a multiple of 8 from 8 to 256, but is 264");
  args = good();
  args.v = tensor(4, {2, 24, 3, 4});
  CHECK(refusal(args) == "[attention] the last extent of v must be a multiple of 8 from 8 to 512, but is 4");
  args = good();
  args.k = tensor(3, {2, 24, 4, 128});
  args.v = tensor(4, {2, 24, 4, 64});
  CHECK(refusal(args) == "[attention] the heads of k and v must divide the 6 heads of q, but are 4");
  args.k = tensor(3, {2, 24, 0, 128});
  args.v = tensor(4, {2, 24, 0, 64});
  CHECK(refusal(args) == "[attention] the heads of k and v must divide the 6 heads of q, but are 0");
}

TEST_CASE("attention: memory") {
  Attention args = good();
  args.k.data = nullptr;
  CHECK(refusal(args) ==
        "[attention] k must point to device memory for [2, 24, 3, 128] elements, but its data is null");
  args = good();
  args.v.extents.stride[3] = 2;
  CHECK(refusal(args) ==
        "[attention] v must be contiguous in its last dimension (stride 1), but has stride 2");
  args = good();
  args.out.extents.stride[2] = 0;
  CHECK(refusal(args) ==
        "[attention] out is written, so its elements must not share memory, but dimension 2 of extent "
        "6 has stride 0");
  args = good();
  args.lse.data = address((5 << 20) + 2);
  CHECK(refusal(args) ==
        "[attention] lse must be aligned to its 4-byte elements, but its data is at 0x500002");
  args = good();
  args.out.data = args.v.extents.rank ? address(4 << 20) : nullptr;
  CHECK(refusal(args) == "[attention] out must not overlap v, but they share memory");
  args = good();
  args.lse.data = args.out.data;
  CHECK(refusal(args) == "[attention] lse must not overlap out, but they share memory");
}

TEST_CASE("attention: other layouts are views") {
  Attention args = good();
  args.q.extents.stride = {6 * 16 * 128, 128, 16 * 128, 1};  // [batch, heads, seqlen_q, head_dim]
  CHECK(passes_checks(args));
  args.k.extents.stride[1] = -3 * 128;  // backwards
  CHECK(passes_checks(args));
  args.lse.extents.stride = {6 * 16, 1, 6};  // [batch, seqlen_q, heads]
  CHECK(passes_checks(args));
  args.k.extents.stride[0] = 0;  // one k for all batches
  CHECK(passes_checks(args));

  const auto packed = [](int slot) {  // [batch, seqlen, 4 slots, heads, head_dim]
    return Tensor(address((16 << 20) + 2 * slot * 6 * 64), f16, {2, 16, 6, 64},
                  {16 * 4 * 6 * 64, 4 * 6 * 64, 64, 1});
  };
  CHECK(passes_checks({.out = packed(3), .q = packed(0), .k = packed(1), .v = packed(2)}));
  CHECK(refusal({.out = packed(1), .q = packed(0), .k = packed(1), .v = packed(2)}) ==
        "[attention] out must not overlap k, but they share memory");
}

TEST_CASE("attention: scale") {
  Attention args = good();
  args.scale = INFINITY;
  CHECK(refusal(args) == "[attention] scale must be finite, or NAN for 1 / sqrt(head_dim), but is inf");
  args.scale = 0.5f;
  CHECK(passes_checks(args));
}

TEST_CASE("attention: an empty output is no launch and needs no GPU") {
  Attention args = good();
  args.out = Tensor(nullptr, f16, {2, 0, 6, 64});
  args.q = Tensor(nullptr, f16, {2, 0, 6, 128});
  args.lse = Tensor(nullptr, f32, {2, 6, 0});
  CHECK(refusal(args) == "accepted");
  args = good();
  args.k = Tensor(nullptr, f16, {2, 0, 3, 128});
  args.v = Tensor(nullptr, f16, {2, 0, 3, 64});
  CHECK(passes_checks(args));
}
