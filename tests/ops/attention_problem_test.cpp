// What attention's kernels are specialised for: every difference is another key, and lengths are none.
#include "ops/attention_problem.h"

#include <set>

#include "codegen/manifest.h"
#include "ops/attention_host.h"
#include "ops/attention_sm90.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i32 = DType::i32;
using Bias = AttentionProblem::Bias;

AttentionProblem problem(const Attention& args) {
  const AttentionLayout layout(args);
  const AttentionViews views(args);
  return specialise(args, layout, views, attention_arguments(args, layout));
}

int pack(const Attention& args) {
  const AttentionLayout layout(args);
  return packed_heads(args, layout, attention_arguments(args, layout));
}

/// The names and values that a request has beyond those of every request.
std::string features(const Attention& args) {
  Values values = problem(args).request(kAttentionPortable).problem;
  for (const char* always : {"SCALAR", "HEAD_DIM", "HEAD_DIM_V", "PACKED_HEADS", "HAS_LSE"}) {
    values.erase(always);
  }
  return print(values);
}

template <class Member, class Value>
std::string with(Attention args, Member Attention::*member, const Value& value) {
  args.*member = value;
  return features(args);
}

/// A decoding step: `seqlen_q` queries of `heads` heads that share 8 heads of keys.
Attention decoding(std::int64_t seqlen_q, std::int64_t heads) {
  return {.out = tensor(1, {4, seqlen_q, heads, 128}),
          .q = tensor(16, {4, seqlen_q, heads, 128}),
          .k = tensor(32, {4, 1000, 8, 128}),
          .v = tensor(64, {4, 1000, 8, 128})};
}

}  // namespace

TEST_CASE("attention: no two problems share a key") {
  std::vector<AttentionProblem> problems;
  const auto add = [&](auto change) {
    const std::size_t count = problems.size();
    for (std::size_t i = 0; i < count; ++i) {
      AttentionProblem changed = problems[i];
      change(changed);
      problems.push_back(changed);
    }
  };
  for (const int head_dim : {8, 256}) {
    for (const int head_dim_v : {8, 256, 512}) {
      for (const DType scalar : {f16, bf16}) {
        problems.push_back({.scalar = scalar, .head_dim = head_dim, .head_dim_v = head_dim_v});
      }
    }
  }
  add([](AttentionProblem& p) { p.causal = true; });
  add([](AttentionProblem& p) { p.window = true; });
  add([](AttentionProblem& p) { p.chunk = true; });
  add([](AttentionProblem& p) { p.softcap = true; });
  add([](AttentionProblem& p) { p.alibi = true; });
  add([](AttentionProblem& p) { p.sinks = true; });
  add([](AttentionProblem& p) { p.signed_scale = true; });
  add([](AttentionProblem& p) { p.dropout = true; });
  add([](AttentionProblem& p) { p.probabilities = true; });
  add([](AttentionProblem& p) { p.varlen = true; });
  add([](AttentionProblem& p) { p.paged = true; });
  add([](AttentionProblem& p) { p.has_lse = true; });
  add([](AttentionProblem& p) { p.is_short = true; });
  add([](AttentionProblem& p) { p.bounded = true; });
  std::set<KernelKey> keys;
  std::size_t made = 0;
  const auto count = [&](const AttentionProblem& p) {
    keys.insert(p.key(0));
    ++made;
  };
  for (AttentionProblem p : problems) {
    count(p);
    for (const Bias bias : {Bias::f32, Bias::f16, Bias::bf16}) count((p.bias = bias, p));
    for (const int packed : {2, 4, 8, 16, 32, 64}) count((p.packed_heads = packed, p));
    for (const int alignment : {8, 4, 2}) count((p.alignment = alignment, p));
    count((p.sm90 = true, p));
  }
  CHECK(keys.size() == made);
  CHECK(problems.front().key(0) != problems.front().key(1));
}

TEST_CASE("attention: no two problems share a request, and a request names nothing that is off") {
  AttentionProblem p{.head_dim = 64, .head_dim_v = 512};
  CHECK(print(p.request("k").problem) == "HEAD_DIM=64 HEAD_DIM_V=512 SCALAR=f16");
  p = {.scalar = bf16,
       .head_dim = 64,
       .head_dim_v = 128,
       .packed_heads = 4,
       .alignment = 2,
       .bias = Bias::f32,
       .causal = true,
       .window = true,
       .chunk = true,
       .softcap = true,
       .alibi = true,
       .sinks = true,
       .signed_scale = true,
       .dropout = true,
       .probabilities = true,
       .varlen = true,
       .paged = true,
       .has_lse = true};
  CHECK(
      print(p.request("k").problem) ==
      "ALIBI=true ALIGNMENT=2 BIAS=f32 CAUSAL=true CHUNK=true DROPOUT=true HAS_LSE=true HEAD_DIM=64 "
      "HEAD_DIM_V=128 PACKED_HEADS=4 PAGED=true PROBABILITIES=true SCALAR=bf16 SIGNED_SCALE=true SINKS=true "
      "SOFTCAP=true VARLEN=true WINDOW=true");
}

TEST_CASE(
    "attention: heads up to 128 channels, and of 256 without a mask, have a kernel of their own for short "
    "sequences, unless it is to be invariant") {
  const auto is_short = [](std::int64_t seqlen, std::int64_t head_dim, bool invariant, bool portable) {
    Attention args = good();
    args.q = tensor(2, {2, seqlen, 6, head_dim});
    args.k = tensor(32, {2, 24, 3, head_dim});
    args.out = tensor(64, {2, seqlen, 6, 64});
    args.lse = {};
    args.batch_invariant = invariant;
    args.portable = portable;
    return problem(args).is_short;
  };
  CHECK(is_short(1024, 96, false, false));
  CHECK_FALSE(is_short(1025, 96, false, false));
  CHECK(is_short(2048, 104, false, false));
  CHECK_FALSE(is_short(2049, 104, false, false));
  CHECK_FALSE(is_short(1024, 136, false, false));
  CHECK_FALSE(is_short(512, 256, false, false));  // its values are narrow
  Attention sharing = decoding(64, 64);
  sharing.causal = true;
  CHECK(problem(sharing).is_short);
  for (const std::int64_t head_dim : {64, 96, 104}) {
    sharing.q = sharing.out = tensor(16, {4, 65, 64, head_dim});
    sharing.k = sharing.v = tensor(32, {4, 1000, 8, head_dim});
    CHECK(problem(sharing).packed_heads == 8);
    CHECK(problem(sharing).is_short == (head_dim > 96));
  }
  Attention wide = good();
  wide.q = tensor(2, {2, 512, 6, 256});
  wide.k = tensor(32, {2, 512, 3, 256});
  wide.v = tensor(32, {2, 512, 3, 256});
  wide.out = tensor(64, {2, 512, 6, 256});
  wide.lse = {};
  CHECK(problem(wide).is_short);
  wide.causal = true;
  CHECK_FALSE(problem(wide).is_short);
  wide.causal = false;
  wide.q = tensor(2, {2, 513, 6, 256});
  wide.out = tensor(64, {2, 513, 6, 256});
  CHECK_FALSE(problem(wide).is_short);
  Attention causal = good();
  causal.q = tensor(2, {2, 4096, 6, 104});
  causal.k = tensor(32, {2, 4096, 3, 104});
  causal.v = tensor(32, {2, 4096, 3, 64});
  causal.out = tensor(64, {2, 4096, 6, 64});
  causal.lse = {};
  CHECK_FALSE(problem(causal).is_short);
  causal.causal = true;
  CHECK(problem(causal).is_short);
  causal.alibi_slopes = tensor(9, {6}, f32);
  causal.softcap = 20;
  CHECK(problem(causal).is_short);
  causal.window_left = 100;
  CHECK_FALSE(problem(causal).is_short);
  CHECK_FALSE(is_short(1024, 96, true, false));
  CHECK_FALSE(is_short(1024, 96, false, true));
  const AttentionProblem p{.head_dim = 64, .head_dim_v = 64, .is_short = true};
  CHECK(print(p.request(kAttentionSm90).problem) == "HEAD_DIM=64 HEAD_DIM_V=64 SCALAR=f16 SHORT=true");
  CHECK(print(p.request(kAttentionPortable).problem) == "HEAD_DIM=64 HEAD_DIM_V=64 SCALAR=f16");
}

TEST_CASE("attention: scores are bounded by a softcap that nothing is added to") {
  const auto capped = [](float softcap) {
    Attention args = good();
    args.q = tensor(2, {2, 16, 6, 64}, bf16);
    args.k = tensor(32, {2, 24, 3, 64}, bf16);
    args.v = tensor(32, {2, 24, 3, 64}, bf16);
    args.out = tensor(64, {2, 16, 6, 64}, bf16);
    args.softcap = softcap;
    return args;
  };
  CHECK(problem(capped(64)).bounded);
  CHECK_FALSE(problem(capped(64.5f)).bounded);
  CHECK_FALSE(problem(capped(0)).bounded);
  Attention half = good();  // f16
  half.softcap = 5;
  CHECK_FALSE(problem(half).bounded);
  Attention args = capped(5);
  args.alibi_slopes = tensor(9, {6}, f32);
  CHECK_FALSE(problem(args).bounded);
  args = capped(5);
  args.bias = tensor(16, {1, 1, 1, 24}, f32);
  CHECK_FALSE(problem(args).bounded);
  args = capped(5);
  args.probabilities = tensor(16, {2, 6, 16, 24}, bf16);
  CHECK_FALSE(problem(args).bounded);
  const AttentionProblem p{.head_dim = 64, .head_dim_v = 64, .softcap = true, .bounded = true};
  CHECK(print(p.request(kAttentionSm90).problem) ==
        "BOUNDED=true HEAD_DIM=64 HEAD_DIM_V=64 SCALAR=f16 SOFTCAP=true");
  CHECK(print(p.request(kAttentionPortable).problem) == "HEAD_DIM=64 HEAD_DIM_V=64 SCALAR=f16 SOFTCAP=true");
}

TEST_CASE(
    "attention: the portable kernel admits every request, and every parameter has a request that sets it") {
  const codegen::Manifest manifest =
      codegen::manifest(codegen::TemplateStore::embedded(), kAttentionPortable);
  AttentionProblem all{.scalar = bf16,
                       .head_dim = 64,
                       .head_dim_v = 128,
                       .packed_heads = 4,
                       .alignment = 2,
                       .bias = Bias::bf16,
                       .causal = true,
                       .window = true,
                       .chunk = true,
                       .softcap = true,
                       .alibi = true,
                       .sinks = true,
                       .signed_scale = true,
                       .varlen = true,
                       .paged = true,
                       .has_lse = true};
  CHECK_NOTHROW(codegen::complete_problem(manifest, all.request(kAttentionPortable).problem));
  all.packed_heads = 1;
  all.dropout = all.probabilities = true;
  const Values problem = all.request(kAttentionPortable).problem;
  CHECK_NOTHROW(codegen::complete_problem(manifest, problem));
  CHECK(problem.size() + 1 == manifest.problem.size());  // all but PACKED_HEADS
}

TEST_CASE("attention: what a request does not name is off by default in both kernels") {
  for (const char* kernel : {kAttentionPortable, kAttentionSm90}) {
    const codegen::Manifest manifest = codegen::manifest(codegen::TemplateStore::embedded(), kernel);
    const Values off = codegen::complete_problem(
        manifest, AttentionProblem{.head_dim = 64, .head_dim_v = 64}.request(kernel).problem);
    for (const codegen::Parameter& parameter : manifest.problem) {
      INFO(kernel << " " << parameter.name);
      if (parameter.kind == codegen::Parameter::Kind::boolean) CHECK(off.at(parameter.name) == Value(false));
    }
    CHECK(off.at("BIAS") == Value(std::string("none")));
    CHECK(off.at("PACKED_HEADS") == Value(std::int64_t{1}));
    if (off.contains("ALIGNMENT")) CHECK(off.at("ALIGNMENT") == Value(std::int64_t{16}));
  }
}

TEST_CASE("attention: each feature is on when it is given and can matter") {
  CHECK(features(good()) == "");
  CHECK(with(good(), &Attention::causal, true) == "CAUSAL=true");
  CHECK(with(good(), &Attention::window_left, 5) == "WINDOW=true");
  CHECK(with(good(), &Attention::window_left, 23) == "");
  CHECK(with(good(), &Attention::window_right, 5) == "WINDOW=true");
  CHECK(with(good(), &Attention::window_right, 15) == "");
  CHECK(with(good(), &Attention::window_right, 0) == "CAUSAL=true");
  CHECK(with(good(), &Attention::chunk, 1000) == "CHUNK=true");
  CHECK(with(good(), &Attention::softcap, 1.0f) == "SOFTCAP=true");
  CHECK(with(good(), &Attention::scale, 0.0f) == "SIGNED_SCALE=true");
  CHECK(with(good(), &Attention::scale, -1.0f) == "SIGNED_SCALE=true");
  CHECK(with(good(), &Attention::scale, 1.0f) == "");
  CHECK(with(good(), &Attention::alibi_slopes, tensor(9, {6}, f32)) == "ALIBI=true");
  CHECK(with(good(), &Attention::sinks, tensor(9, {6}, f32)) == "SINKS=true");
  CHECK(with(good(), &Attention::bias, tensor(16, {1, 1, 1, 24}, f32)) == "BIAS=f32");
  CHECK(with(good(), &Attention::bias, tensor(16, {1, 1, 1, 24}, f16)) == "BIAS=f16");
  CHECK(with(good(), &Attention::dropout, Dropout{.probability = 0, .seed = 5}) == "");
  CHECK(with(good(), &Attention::dropout, Dropout{.probability = 0.1f}) == "DROPOUT=true");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 6, 16, 24})) == "PROBABILITIES=true");
  CHECK(with(good(), &Attention::seqused_q, tensor(9, {2}, i32)) == "VARLEN=true");
  CHECK(with(good(), &Attention::seqused_k, tensor(9, {2}, i32)) == "VARLEN=true");
  CHECK(features(packed()) == "VARLEN=true");
  CHECK(features(paged()) == "PAGED=true");
  CHECK(with(good(), &Attention::q, tensor(2, {2, 16, 6, 128}, bf16)) == "");
  CHECK(with(good(), &Attention::v, Tensor(address((4 << 20) + 4), f16, {2, 24, 3, 64})) == "ALIGNMENT=4");

  Attention both = good();
  both.causal = true;
  both.window_right = 3;
  CHECK(features(both) == "CAUSAL=true");
  both.window_left = 3;
  CHECK(features(both) == "CAUSAL=true WINDOW=true");
}

TEST_CASE("attention: heads share a tile where sequences are short, differ in length or see different keys") {
  CHECK(pack(decoding(1, 8)) == 1);
  CHECK(pack(decoding(1, 16)) == 2);
  CHECK(pack(decoding(1, 64)) == 8);
  CHECK(pack(decoding(1, 48)) == 2);     // of 6 heads that share keys, pairs
  CHECK(pack(decoding(1, 2048)) == 64);  // as many as a row of a warpgroup's tile may hold
  CHECK(pack(decoding(7, 256)) == 16);   // 112 rows of 128
  CHECK(pack(decoding(9, 256)) == 8);
  CHECK(pack(decoding(64, 64)) == 8);
  CHECK(pack(decoding(0, 64)) == 1);
  CHECK(pack(decoding(129, 64)) == 8);  // 144 rows instead of 256
  CHECK(pack(decoding(128, 64)) == 1);
  CHECK(pack(decoding(1000, 64)) == 1);  // 1008 rows instead of 1024
  CHECK(pack(decoding(900, 64)) == 8);   // 912 rows instead of 1024
  CHECK(pack(decoding(900, 16)) == 2);   // 960

  Attention args = decoding(128, 64);
  args.causal = true;
  CHECK(pack(args) == 8);
  args = decoding(128, 64);
  args.chunk = 100;
  CHECK(pack(args) == 8);
  args = decoding(128, 64);
  args.window_left = 100;
  CHECK(pack(args) == 8);
  args = decoding(128, 64);
  args.seqused_q = tensor(6, {4}, i32);
  CHECK(pack(args) == 8);
  args = decoding(128, 64);
  args.seqused_k = tensor(6, {4}, i32);
  CHECK(pack(args) == 1);

  args = decoding(1, 64);
  args.batch_invariant = true;
  CHECK(pack(args) == 1);
  args = decoding(1, 64);
  args.dropout.probability = 0.1f;
  CHECK(pack(args) == 1);
  args = decoding(1, 64);
  args.probabilities = tensor(128, {4, 64, 1, 1000});
  CHECK(pack(args) == 1);

  args = packed();  // 32 queries of 3 sequences: 11 of each
  CHECK(pack(args) == 2);
  args.cu_seqlens_q = args.cu_seqlens_k = tensor(6, {1}, i32);
  CHECK(pack(args) == 1);
}

TEST_CASE("attention: pages of few keys begin where tensor maps can write") {
  const auto fits = [](int head_dim, int head_dim_v, int page_size) {
    return pages_fit({.head_dim = head_dim, .head_dim_v = head_dim_v}, page_size);
  };
  CHECK((fits(64, 64, 1) && fits(128, 128, 1) && fits(192, 128, 1) && fits(64, 512, 1) && fits(256, 256, 1)));
  CHECK((!fits(96, 96, 1) && fits(96, 96, 2) && !fits(96, 96, 17)));  // rows of 64 bytes
  CHECK((!fits(72, 72, 2) && fits(72, 72, 4) && fits(72, 72, 48)));   // rows of 32 bytes
  CHECK((!fits(128, 80, 1) && fits(128, 80, 16)));
  CHECK(!fits(64, 264, 1));  // two tiles of 136 columns
}

TEST_CASE("attention: tensor maps take aligned tensors that run forwards") {
  CHECK(problem(good()).sm90);
  CHECK(problem(packed()).sm90);
  CHECK(problem(paged()).sm90);
  Attention args = good();
  args.portable = true;
  CHECK_FALSE(problem(args).sm90);
  args = good();
  args.k.data = address((3 << 20) + 8);
  CHECK_FALSE(problem(args).sm90);
  args = good();
  args.k.extents.stride[1] = -3 * 128;
  CHECK_FALSE(problem(args).sm90);
  args = good();
  args.out.extents.stride[0] = std::int64_t{1} << 39;
  CHECK_FALSE(problem(args).sm90);
  args.out.extents.stride[0] = (std::int64_t{1} << 39) - 8;
  CHECK(problem(args).sm90);
  args = good();
  args.k.extents.stride[0] = std::int64_t{1} << 39;
  CHECK_FALSE(problem(args).sm90);
  args.k.extents.stride[0] = (std::int64_t{1} << 39) - 8;
  CHECK(problem(args).sm90);
  args = good();
  args.k = tensor(3, {2, 0, 3, 128});
  args.v = tensor(4, {2, 0, 3, 64});
  CHECK_FALSE(problem(args).sm90);
  args = paged();
  args.k = tensor(3, {0, 8, 3, 128});
  args.v = tensor(4, {0, 8, 3, 64});
  CHECK_FALSE(problem(args).sm90);
  args = good();  // strides of extents of 1 mean nothing
  args.q = Tensor(address(2 << 20), f16, {1, 16, 6, 128}, {-7, 6 * 128, 128, 1});
  CHECK(has_tensor_maps(AttentionViews(args)));
}

TEST_CASE("attention: a section of heads has whole groups that share keys") {
  const auto heads = [](std::int64_t heads, bool causal) {
    Attention args = decoding(1, heads);
    args.causal = causal;
    return heads_per_section(problem(args), attention_arguments(args, AttentionLayout(args)));
  };
  CHECK(heads(8, true) == 20);
  CHECK(heads(24, true) == 21);
  CHECK(heads(32, true) == 20);
  CHECK(heads(256, true) == 32);
  CHECK(heads(8, false) == 8);
  CHECK(heads(24, false) == 9);
}
