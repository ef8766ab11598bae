// What attention passes to its kernels: the struct is the template's, and limits are numbers that cannot
// overflow.
#include "ops/attention_arguments.h"

#include <fmt/format.h>

#include <climits>
#include <cstddef>

#include "codegen/manifest.h"
#include "codegen/render.h"
#include "codegen/store.h"
#include "ops/attention_host.h"
#include "ops/attention_sm90.h"
#include "support/nvrtc.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, i32 = DType::i32;

AttentionArguments arguments(const Attention& args) {
  return attention_arguments(args, AttentionLayout(args));
}

using Strides = AttentionArguments::Strides;

}  // namespace

TEST_CASE("attention: the host's arguments are the template's, member by member") {
  SKIP_WITHOUT_NVRTC();
  const auto store = codegen::TemplateStore::embedded();
  std::string text = *store.find("device/types.cuh") +
                     "using namespace device;\nusing scalar = device::bf16;\n" +
                     "constexpr bool kVarlen = true;\n" + *store.find("attention/arguments.cuh");
  std::size_t end = 0;
  // NVRTC has no offsetof; __INTADDR__ is what its front end makes one of.
  const auto expect = [&](const char* member, std::size_t offset, std::size_t size) {
    CHECK(offset >= end);  // in the template's order, so that none is left out unseen
    CHECK(offset < end + 8);
    end = offset + size;
    text += fmt::format(
        "static_assert(__INTADDR__(&((Arguments*)0)->{0}) == {1} && sizeof(Arguments::{0}) == {2});\n",
        member, offset, size);
  };
#define EXPECT(member) \
  expect(#member, offsetof(AttentionArguments, member), sizeof(AttentionArguments::member))
  EXPECT(q);
  EXPECT(k);
  EXPECT(v);
  EXPECT(out);
  EXPECT(lse);
  EXPECT(q_stride);
  EXPECT(k_stride);
  EXPECT(v_stride);
  EXPECT(out_stride);
  EXPECT(lse_stride);
  EXPECT(cu_seqlens_q);
  EXPECT(cu_seqlens_k);
  EXPECT(seqused_q);
  EXPECT(seqused_k);
  EXPECT(block_table);
  EXPECT(block_table_stride);
  EXPECT(bias);
  EXPECT(bias_stride);
  EXPECT(alibi_slopes);
  EXPECT(sinks);
  EXPECT(slope_stride);
  EXPECT(sink_stride);
  EXPECT(probabilities);
  EXPECT(probabilities_stride);
  EXPECT(dropout_keys);
  EXPECT(dropout_offset);
  EXPECT(batch);
  EXPECT(heads);
  EXPECT(kv_heads);
  EXPECT(seqlen_q);
  EXPECT(seqlen_k);
  EXPECT(page_size);
  EXPECT(window_left);
  EXPECT(window_right);
  EXPECT(chunk);
  EXPECT(keep_threshold);
  EXPECT(keep_scale);
  EXPECT(scale);
  EXPECT(softcap);
  EXPECT(empty_lse);
  EXPECT(capping);
  EXPECT(row_blocks);
#undef EXPECT
  CHECK(sizeof(AttentionArguments) < end + 8);
  text += fmt::format("static_assert(sizeof(Arguments) == {});\n", sizeof(AttentionArguments));
  text += "extern \"C\" __global__ void probe(const __grid_constant__ Arguments args) {}\n";
  const compiler::Compiler compiler(nvrtc_search());
  CHECK_NOTHROW(compiler.compile({{"probe", {}, {}}, text, {}}, architecture("sm_80")));
}

TEST_CASE("attention: the host's parameters of attention_sm90 are the template's") {
  SKIP_WITHOUT_NVRTC();
  const auto store = codegen::TemplateStore::embedded();
  const codegen::Manifest manifest = codegen::manifest(store, kAttentionSm90);
  const Architecture arch = architecture("sm_90a");
  const Values problem = AttentionProblem{.head_dim = 64, .head_dim_v = 64}.request(kAttentionSm90).problem;
  Source source = codegen::render(store, manifest, codegen::complete_spec(manifest, problem, {}, arch));
#define EXPECT(member, name)                                                                  \
  source.text += fmt::format("static_assert(__INTADDR__(&((Params*)0)->" #name ") == {});\n", \
                             offsetof(AttentionSm90Params, member))
  EXPECT(q, q);
  EXPECT(k, k);
  EXPECT(v, v);
  EXPECT(out, out);
  EXPECT(arguments, args);
  EXPECT(counter, counter);
  EXPECT(group, group);
  EXPECT(section, section);
  EXPECT(last_section, last_section);
  EXPECT(box_rows, box_rows);
#undef EXPECT
  // The template's maps are aligned to 64 bytes, the host's to 128.
  source.text += fmt::format("static_assert(sizeof(Params) <= {0} && sizeof(Params) + 128 > {0});\n",
                             sizeof(AttentionSm90Params));
  const compiler::Compiler compiler(nvrtc_search());
  CHECK_NOTHROW(compiler.compile(source, arch));
}

TEST_CASE("attention: extents and strides of every layout") {
  AttentionArguments a = arguments(good());
  CHECK((a.batch == 2 && a.heads == 6 && a.kv_heads == 3 && a.seqlen_q == 16 && a.seqlen_k == 24));
  CHECK(a.q_stride == Strides{16 * 6 * 128, 6 * 128, 128});
  CHECK(a.v_stride == Strides{24 * 3 * 64, 3 * 64, 64});
  CHECK(a.lse_stride == Strides{6 * 16, 16, 1});
  CHECK(a.scale == 1 / std::sqrt(128.0f));
  CHECK(a.empty_lse == -INFINITY);

  a = arguments(packed());
  CHECK((a.batch == 3 && a.heads == 6 && a.kv_heads == 3 && a.seqlen_q == 32 && a.seqlen_k == 48));
  CHECK(a.q_stride == Strides{0, 6 * 128, 128});
  CHECK(a.k_stride == Strides{0, 3 * 128, 128});
  CHECK(a.out_stride == Strides{0, 6 * 64, 64});
  CHECK(a.lse_stride == Strides{0, 32, 1});
  CHECK(a.cu_seqlens_k == packed().cu_seqlens_k.data);

  a = arguments(paged());
  CHECK((a.batch == 2 && a.seqlen_q == 16 && a.seqlen_k == 40 && a.page_size == 8));
  CHECK(a.k_stride == Strides{8 * 3 * 128, 3 * 128, 128});  // of a page
  CHECK(a.block_table == paged().block_table.data);
  CHECK((a.block_table_stride[0] == 5 && a.block_table_stride[1] == 1));
}

TEST_CASE("attention: slopes, sinks and biases that are the same for all have stride 0") {
  Attention args = good();
  args.alibi_slopes = tensor(9, {6}, f32);
  args.sinks = Tensor(address(10 << 20), f32, {6}, {-2});
  args.bias = tensor(16, {1, 6, 1, 24}, f32);
  AttentionArguments a = arguments(args);
  CHECK((a.slope_stride[0] == 0 && a.slope_stride[1] == 1));
  CHECK(a.sink_stride == -2);
  CHECK(a.bias_stride == Strides{0, 24, 0});
  args.alibi_slopes = Tensor(address(9 << 20), f32, {2, 6}, {1, 2});
  args.bias = tensor(16, {2, 1, 16, 24}, f32);
  a = arguments(args);
  CHECK((a.slope_stride[0] == 1 && a.slope_stride[1] == 2));
  CHECK(a.bias_stride == Strides{16 * 24, 0, 24});
}

TEST_CASE("attention: limits that cannot matter are far beyond every sequence") {
  Attention args = good();  // 16 queries, 24 keys
  CHECK(arguments(args).window_left == kNoWindow);
  CHECK(arguments(args).window_right == kNoWindow);
  args.window_left = 23;  // the last query still sees the first key
  args.window_right = 15;
  CHECK(arguments(args).window_left == kNoWindow);
  CHECK(arguments(args).window_right == kNoWindow);
  args.window_left = 22;
  args.window_right = 14;
  CHECK(arguments(args).window_left == 22);
  CHECK(arguments(args).window_right == 14);
  args.causal = true;
  CHECK(arguments(args).window_right == kNoWindow);
  args.causal = false;
  args.window_left = args.window_right = 100;
  args.batch_invariant = true;
  CHECK(arguments(args).window_left == 100);
  CHECK(arguments(args).window_right == 100);
  args.window_left = args.window_right = args.chunk = std::numeric_limits<std::int64_t>::max();
  const AttentionArguments a = arguments(args);
  constexpr std::int64_t kLastPosition = (1 << 30) - 1;
  CHECK(a.window_left == kNoWindow);
  CHECK(kLastPosition + a.window_right + 1 <= INT_MAX);
  CHECK(-kLastPosition - 1 - a.window_left >= INT_MIN);
  CHECK(-kLastPosition - 1 - a.chunk + 1 >= INT_MIN);
  CHECK(kLastPosition / a.chunk * a.chunk + a.chunk <= INT_MAX);
}

TEST_CASE("attention: a dropout probability is a number of 256 bytes") {
  Attention args = good();
  CHECK(arguments(args).keep_threshold == 255);
  CHECK(arguments(args).keep_scale == 1);
  args.dropout = {.probability = 0.5f, .seed = 3, .offset = 5};
  const AttentionArguments a = arguments(args);
  CHECK(a.keep_threshold == 127);
  CHECK(a.keep_scale == 2);
  CHECK((a.dropout_keys[0] == 3 && a.dropout_keys[1] == 0 && a.dropout_offset == 5));
  CHECK((a.dropout_keys[2] == 3 + 0x9E3779B9 && a.dropout_keys[3] == 0xBB67AE85));
  CHECK((a.dropout_keys[12] == 3 + 6 * 0x9E3779B9u && a.dropout_keys[13] == 6 * 0xBB67AE85u));
  args.dropout.probability = 0.17f;
  CHECK(arguments(args).keep_threshold == 211);  // as FlashAttention-2 rounds it
  args.dropout.probability = std::nextafter(1.0f, 0.0f);
  CHECK(arguments(args).keep_threshold == 0);
}

TEST_CASE("attention: lengths on the device are passed on") {
  Attention args = good();
  args.seqused_q = tensor(6, {2}, i32);
  args.seqused_k = tensor(7, {2}, i32);
  CHECK(arguments(args).seqused_q == args.seqused_q.data);
  CHECK(arguments(args).seqused_k == args.seqused_k.data);
  CHECK(arguments(args).cu_seqlens_q == nullptr);
}
