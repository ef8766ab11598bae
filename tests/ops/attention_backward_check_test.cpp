// attention_backward refuses bad arguments in the caller's words, before it needs a GPU; and the struct of
// its kernels is the template's.
#include <fmt/format.h>

#include <cstddef>

#include "codegen/store.h"
#include "ops/attention_backward_arguments.h"
#include "ops/attention_host.h"
#include "support/nvrtc.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, bf16 = DType::bf16;

AttentionBackward gradients_of(const Attention& forward) {
  return {.dq = tensor(20, {2, 16, 6, 128}),
          .dk = tensor(21, {2, 24, 3, 128}),
          .dv = tensor(22, {2, 24, 3, 64}),
          .dout = tensor(23, {2, 16, 6, 64}),
          .forward = forward};
}

/// With bias, slopes and sinks, and their gradients.
AttentionBackward with_features() {
  Attention forward = good();
  forward.bias = tensor(30, {1, 6, 16, 24});
  forward.alibi_slopes = tensor(31, {6}, f32);
  forward.sinks = tensor(32, {6}, f32);
  AttentionBackward args = gradients_of(forward);
  args.dbias = tensor(33, {1, 6, 16, 24}, f32);
  args.dslopes = tensor(34, {6}, f32);
  args.dsinks = tensor(35, {6}, f32);
  return args;
}

}  // namespace

TEST_CASE("attention_backward: good arguments pass") {
  CHECK(passes_checks(gradients_of(good())));
  CHECK(passes_checks(with_features()));
}

TEST_CASE("attention_backward: what attention refuses, and what only a backward pass does") {
  AttentionBackward args = gradients_of(good());
  args.forward.k.dtype = bf16;
  CHECK(refusal(args) == "[attention_backward] forward: k must have the dtype of q, f16, but has bf16");
  args = gradients_of(paged());
  CHECK(refusal(args) ==
        "[attention_backward] forward.block_table must not be given: keys and values of a backward pass are "
        "not "
        "paged, but 10 pages are given");
  args = gradients_of(good());
  args.forward.lse = {};
  CHECK(refusal(args) ==
        "[attention_backward] forward.lse must be what the forward call wrote, but is not given");
  args.forward = good();
  args.forward.v = tensor(4, {2, 24, 3, 264});
  args.forward.out = tensor(1, {2, 16, 6, 264});
  CHECK(refusal(args) ==
        "[attention_backward] the last extent of v must be a multiple of 8 from 8 to 256 in a backward pass, "
        "but is "
        "264");
}

TEST_CASE("attention_backward: gradients look like what they are gradients of") {
  AttentionBackward args = gradients_of(good());
  args.dq = tensor(20, {2, 16, 6, 64});
  CHECK(refusal(args) ==
        "[attention_backward] dq must have the shape of q, [2, 16, 6, 128], but has [2, 16, 6, 64]");
  args = gradients_of(good());
  args.dv.dtype = f32;
  CHECK(refusal(args) == "[attention_backward] dv must have the dtype of v, f16, but has f32");
  args = gradients_of(good());
  args.dout = {};
  CHECK(refusal(args) == "[attention_backward] dout must have the shape of out, [2, 16, 6, 64], but has []");
  args = gradients_of(good());
  args.dk.data = nullptr;
  CHECK(refusal(args) ==
        "[attention_backward] dk must point to device memory for [2, 24, 3, 128] elements, but its data is "
        "null");
}

TEST_CASE("attention_backward: gradients of what is not there") {
  AttentionBackward args = gradients_of(good());
  args.dbias = tensor(33, {1, 6, 16, 24}, f32);
  CHECK(refusal(args) ==
        "[attention_backward] dbias must not be given without forward.bias, but is [1, 6, 16, 24]");
  args = gradients_of(good());
  args.dslopes = tensor(34, {6}, f32);
  CHECK(refusal(args) ==
        "[attention_backward] dslopes must not be given without forward.alibi_slopes, but is [6]");
  args = gradients_of(good());
  args.dsinks = tensor(35, {6}, f32);
  CHECK(refusal(args) == "[attention_backward] dsinks must not be given without forward.sinks, but is [6]");
  args = with_features();
  args.dbias.dtype = bf16;
  CHECK(refusal(args) == "[attention_backward] dbias must have dtype f32 or that of q, f16, but has bf16");
  args = with_features();
  args.dsinks.dtype = bf16;
  CHECK(refusal(args) == "[attention_backward] dsinks must have the dtype of sinks, f32, but has bf16");
}

TEST_CASE("attention_backward: outputs share no memory") {
  AttentionBackward args = gradients_of(good());
  args.dq.data = args.forward.q.data == nullptr ? nullptr : const_cast<void*>(args.forward.q.data);
  CHECK(refusal(args) == "[attention_backward] dq must not overlap q, but they share memory");
  args = gradients_of(good());
  args.dv.data = args.dk.data;
  CHECK(refusal(args) == "[attention_backward] dv must not overlap dk, but they share memory");
  args = with_features();
  args.dsinks.data = args.dslopes.data;
  CHECK(refusal(args) == "[attention_backward] dsinks must not overlap dslopes, but they share memory");
  // Slices of one packed tensor [2, 16, 3, 6, 128] do not overlap.
  args = gradients_of(good());
  Attention& forward = args.forward;
  forward.k = tensor(3, {2, 16, 6, 128});
  forward.v = tensor(4, {2, 16, 6, 128});
  forward.out = tensor(1, {2, 16, 6, 128});
  args.dout = tensor(23, {2, 16, 6, 128});
  const auto slice = [](int i) {
    return Tensor(address((std::uintptr_t{20} << 20) + static_cast<std::uintptr_t>(i) * 6 * 128 * 2),
                  DType::f16, {2, 16, 6, 128}, {16 * 3 * 6 * 128, 3 * 6 * 128, 128, 1});
  };
  args.dq = slice(0);
  args.dk = slice(1);
  args.dv = slice(2);
  CHECK(passes_checks(args));
}

TEST_CASE("attention_backward: the workspace is aligned") {
  AttentionBackward args = gradients_of(good());
  args.workspace = address((std::uintptr_t{40} << 20) + 8);
  CHECK(refusal(args) == "[attention_backward] workspace must be aligned to 256 bytes, but is at 0x2800008");
}

TEST_CASE("attention_backward: the workspace overlaps nothing") {
  const auto overlapping = [](const void* data) {
    AttentionBackward args = gradients_of(good());
    args.workspace = const_cast<void*>(data);
    args.workspace_bytes = 1 << 16;
    return refusal(args);
  };
  CHECK(overlapping(good().k.data) ==
        "[attention_backward] workspace must not overlap k, but they share memory");
  CHECK(overlapping(good().lse.data) ==
        "[attention_backward] workspace must not overlap lse, but they share memory");
  CHECK(overlapping(gradients_of(good()).dk.data) ==
        "[attention_backward] workspace must not overlap dk, but they share memory");
}

TEST_CASE("attention_backward: the workspace is as large as was asked for") {
  AttentionBackward args = gradients_of(good());
  args.workspace = address(std::uintptr_t{40} << 20);
  args.workspace_bytes = 2 * 16 * 6 * 8 - 1;
  CHECK(refusal(args) == "[attention_backward] workspace must have at least 1536 bytes, but has 1535");
  ++args.workspace_bytes;
  CHECK(passes_checks(args));
}

TEST_CASE("attention_backward: gradients may lie as they like, but for their last dimension") {
  AttentionBackward args = gradients_of(good());
  args.dq = Tensor(args.dq.data, DType::f16, {2, 16, 6, 128}, {16 * 6 * 256, 6 * 256, 256, 2});
  CHECK(refusal(args) ==
        "[attention_backward] dq must be contiguous in its last dimension (stride 1), but has stride 2");
  args = gradients_of(good());
  args.dv = Tensor(args.dv.data, DType::f16, {2, 24, 3, 64}, {24 * 64, 64, 0, 1});
  CHECK(
      refusal(args) ==
      "[attention_backward] dv is written, so its elements must not share memory, but dimension 2 of extent "
      "3 has stride 0");
  args = gradients_of(good());
  args.dout = Tensor(address(std::uintptr_t{23} << 20), DType::f16, {2, 16, 6, 64}, {0, 0, 0, 1});
  CHECK(passes_checks(args));  // the gradient of a sum, say
  args = with_features();
  args.dslopes = Tensor(args.dslopes.data, f32, {6}, {5});
  args.dsinks = Tensor(args.dsinks.data, f32, {6}, {-3});
  CHECK(passes_checks(args));
  args.dbias = Tensor(args.dbias.data, f32, {1, 6, 16, 24}, {0, 768, 48, 2});
  CHECK(refusal(args) ==
        "[attention_backward] dbias must be contiguous in its last dimension (stride 1), but has stride 2");
  args = with_features();
  args.dbias = tensor(33, {2, 6, 16, 24}, f32);
  CHECK(refusal(args) ==
        "[attention_backward] dbias must have the shape of bias, [1, 6, 16, 24], but has [2, 6, 16, 24]");
  args = with_features();
  args.dslopes = tensor(34, {2, 6}, f32);
  CHECK(refusal(args) ==
        "[attention_backward] dslopes must have the shape of alibi_slopes, [6], but has [2, 6]");
  args = with_features();
  args.dsinks = tensor(35, {3}, f32);
  CHECK(refusal(args) == "[attention_backward] dsinks must have the shape of sinks, [6], but has [3]");
}

TEST_CASE("attention_backward: every output is compared with every input") {
  const AttentionBackward good = with_features();
  const auto data = [](const ConstTensor& input) { return const_cast<void*>(input.data); };
  const std::pair<const char*, void*> inputs[] = {
      {"dout", data(good.dout)},           {"q", data(good.forward.q)},
      {"k", data(good.forward.k)},         {"v", data(good.forward.v)},
      {"out", good.forward.out.data},      {"lse", good.forward.lse.data},
      {"bias", data(good.forward.bias)},   {"alibi_slopes", data(good.forward.alibi_slopes)},
      {"sinks", data(good.forward.sinks)},
  };
  const std::pair<const char*, Tensor AttentionBackward::*> outputs[] = {
      {"dq", &AttentionBackward::dq},           {"dk", &AttentionBackward::dk},
      {"dv", &AttentionBackward::dv},           {"dbias", &AttentionBackward::dbias},
      {"dslopes", &AttentionBackward::dslopes}, {"dsinks", &AttentionBackward::dsinks}};
  for (const auto& [output, member] : outputs) {
    for (const auto& [input, address] : inputs) {
      AttentionBackward args = good;
      (args.*member).data = address;
      CHECK(refusal(args) ==
            fmt::format("[attention_backward] {} must not overlap {}, but they share memory", output, input));
    }
  }
}

TEST_CASE(
    "attention_backward: the workspace holds 8 bytes for each row, and 4 more for gradients of slopes") {
  AttentionBackward args = gradients_of(good());
  args.forward.portable = args.deterministic = true;
  CHECK(attention_backward_workspace_bytes(host_runtime(), args) == 2 * 16 * 6 * 8);
  CHECK(attention_backward_workspace_bytes(host_runtime(), with_features()) ==
        2 * 16 * 6 * 8 + 2 * 16 * 6 * 4);
}

TEST_CASE("attention_backward: the host's arguments are the template's, member by member") {
  SKIP_WITHOUT_NVRTC();
  const auto store = codegen::TemplateStore::embedded();
  std::string text =
      *store.find("device/types.cuh") +
      "using namespace device;\nusing scalar = device::bf16;\nconstexpr bool kVarlen = true;\n" +
      *store.find("attention/arguments.cuh") + *store.find("attention/backward_arguments.cuh");
  std::size_t end = 0;
  const auto expect = [&](const char* member, std::size_t offset, std::size_t size) {
    CHECK(offset >= end);  // in the template's order, so that none is left out unseen
    CHECK(offset < end + 8);
    end = offset + size;
    text += fmt::format(
        "static_assert(__INTADDR__(&((BackwardArguments*)0)->{0}) == {1} && "
        "sizeof(BackwardArguments::{0}) == {2});\n",
        member, offset, size);
  };
#define EXPECT(member) \
  expect(#member, offsetof(AttentionBackwardArguments, member), sizeof(AttentionBackwardArguments::member))
  EXPECT(forward);
  EXPECT(dout);
  EXPECT(dq);
  EXPECT(dk);
  EXPECT(dv);
  EXPECT(dout_stride);
  EXPECT(dq_stride);
  EXPECT(dk_stride);
  EXPECT(dv_stride);
  EXPECT(dbias);
  EXPECT(dbias_stride);
  EXPECT(dslopes);
  EXPECT(dsinks);
  EXPECT(dslope_stride);
  EXPECT(dsink_stride);
  EXPECT(stats);
  EXPECT(slope_rows);
  EXPECT(row_stride);
  EXPECT(dq_sums);
  EXPECT(dq_marks);
  EXPECT(dbias_marks);
  EXPECT(dq_chunks);
  EXPECT(key_blocks);
  EXPECT(bias_batch);
  EXPECT(bias_heads);
  EXPECT(bias_q);
  EXPECT(bias_k);
#undef EXPECT
  CHECK(sizeof(AttentionBackwardArguments) < end + 8);
  text +=
      fmt::format("static_assert(sizeof(BackwardArguments) == {});\n", sizeof(AttentionBackwardArguments));
  text += "extern \"C\" __global__ void probe(const __grid_constant__ BackwardArguments args) {}\n";
  const compiler::Compiler compiler(nvrtc_search());
  CHECK_NOTHROW(compiler.compile({{"probe", {}, {}}, text, {}}, architecture("sm_80")));
}
