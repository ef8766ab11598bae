// attention refuses bad features in the caller's words: windows, biases, dropout, sequences of different
// lengths.
#include "ops/attention_host.h"
#include "support/catch.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i32 = DType::i32;

/// The refusal of `args` with one member changed.
template <class Member, class Value>
std::string with(Attention args, Member Attention::*member, const Value& value) {
  args.*member = value;
  return refusal(args);
}

}  // namespace

TEST_CASE("attention: numbers") {
  CHECK(with(good(), &Attention::window_left, -2) ==
        "[attention] window_left must be at least 0, or -1 for no limit, but is -2");
  CHECK(with(good(), &Attention::window_right, -7) ==
        "[attention] window_right must be at least 0, or -1 for no limit, but is -7");
  CHECK(with(good(), &Attention::chunk, -1) ==
        "[attention] chunk must be positive, or 0 for no limit, but is -1");
  CHECK(with(good(), &Attention::softcap, -1.0f) ==
        "[attention] softcap must be finite and positive, or 0 for none, but is -1");
  CHECK(with(good(), &Attention::softcap, INFINITY) ==
        "[attention] softcap must be finite and positive, or 0 for none, but is inf");
  CHECK(with(good(), &Attention::softcap, NAN) ==
        "[attention] softcap must be finite and positive, or 0 for none, but is nan");
  CHECK(with(good(), &Attention::dropout, Dropout{.probability = 1}) ==
        "[attention] dropout.probability must be at least 0 and below 1, but is 1");
  CHECK(with(good(), &Attention::dropout, Dropout{.probability = -0.5f}) ==
        "[attention] dropout.probability must be at least 0 and below 1, but is -0.5");
  CHECK(with(good(), &Attention::dropout, Dropout{.probability = NAN}) ==
        "[attention] dropout.probability must be at least 0 and below 1, but is nan");
  Attention args = good();
  args.window_left = std::int64_t{1} << 40;
  args.window_right = 0;
  args.chunk = std::int64_t{1} << 40;
  args.softcap = 30;
  args.dropout = {.probability = 0.1f, .seed = 1, .offset = 2};
  args.empty_lse = INFINITY;
  CHECK(passes_checks(args));
}

TEST_CASE("attention: ALiBi slopes and sinks") {
  CHECK(with(good(), &Attention::alibi_slopes, tensor(9, {2, 6, 1}, f32)) ==
        "[attention] alibi_slopes must have 1 or 2 dimensions [heads] or [batch, heads], but has 3");
  CHECK(with(good(), &Attention::alibi_slopes, tensor(9, {6}, f16)) ==
        "[attention] alibi_slopes must have dtype f32, but has f16");
  CHECK(with(good(), &Attention::alibi_slopes, tensor(9, {3}, f32)) ==
        "[attention] alibi_slopes must have 6 heads, as q, but has 3");
  CHECK(with(good(), &Attention::alibi_slopes, tensor(9, {1, 6}, f32)) ==
        "[attention] alibi_slopes must have 2 batches, as q, but has 1");
  CHECK(
      with(packed(), &Attention::alibi_slopes, tensor(9, {4, 6}, f32)) ==
      "[attention] alibi_slopes must have 3 batches, one fewer than the elements of cu_seqlens_q, but has 4");
  CHECK(with(good(), &Attention::sinks, tensor(9, {6, 1}, f32)) ==
        "[attention] sinks must have 1 dimension [heads], but has 2");
  CHECK(with(good(), &Attention::sinks, tensor(9, {6}, i32)) ==
        "[attention] sinks must have dtype f32, but has i32");
  CHECK(with(good(), &Attention::sinks, tensor(9, {7}, f32)) ==
        "[attention] sinks must have 6 heads, as q, but has 7");
  CHECK(with(good(), &Attention::sinks, Tensor(nullptr, f32, {6})) ==
        "[attention] sinks must point to device memory for [6] elements, but its data is null");
  CHECK(with(good(), &Attention::sinks, Tensor(address(16), f32, Extents())) ==
        "[attention] sinks must have 1 dimension [heads], but has 0");
  Attention args = good();
  args.alibi_slopes = Tensor(address(9 << 20), f32, {2, 6}, {1, 2});  // any strides
  args.sinks = Tensor(address(10 << 20), f32, {6}, {3});
  CHECK(passes_checks(args));
}

TEST_CASE("attention: bias") {
  CHECK(with(good(), &Attention::bias, tensor(16, {6, 16, 24}, f32)) ==
        "[attention] bias must have 4 dimensions [batch, heads, seqlen_q, seqlen_k], but has 3");
  CHECK(with(good(), &Attention::bias, tensor(16, {2, 6, 16, 24}, bf16)) ==
        "[attention] bias must have dtype f32 or that of q, f16, but has bf16");
  CHECK(with(good(), &Attention::bias, tensor(16, {3, 6, 16, 24})) ==
        "[attention] bias must have 2 batches or 1, as q, but has 3");
  CHECK(with(good(), &Attention::bias, tensor(16, {2, 3, 16, 24})) ==
        "[attention] bias must have 6 heads or 1, as q, but has 3");
  CHECK(with(good(), &Attention::bias, tensor(16, {2, 6, 17, 24})) ==
        "[attention] bias must have 16 positions of queries or 1, as q, but has 17");
  CHECK(with(good(), &Attention::bias, tensor(16, {2, 6, 16, 1})) ==
        "[attention] bias must have 24 positions of keys, as k, but has 1");
  CHECK(with(good(), &Attention::bias, Tensor(address(16 << 20), f32, {2, 6, 16, 24}, {0, 0, 0, 2})) ==
        "[attention] bias must be contiguous in its last dimension (stride 1), but has stride 2");
  Attention args = good();
  for (const DType dtype : {f32, f16}) {
    args.bias = tensor(16, {1, 1, 1, 24}, dtype);
    CHECK(passes_checks(args));
    args.bias = tensor(16, {2, 6, 16, 24}, dtype);
    CHECK(passes_checks(args));
  }
  args = packed();
  args.bias = tensor(16, {3, 1, 20, 31}, f32);  // the host does not know the longest sequence
  CHECK(passes_checks(args));
}

TEST_CASE("attention: probabilities") {
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 6, 16, 24}, f32)) ==
        "[attention] probabilities must have the dtype of q, f16, but has f32");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 6, 24})) ==
        "[attention] probabilities must have 4 dimensions [batch, heads, seqlen_q, seqlen_k], but has 3");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {1, 6, 16, 24})) ==
        "[attention] probabilities must have 2 batches, as q, but has 1");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 1, 16, 24})) ==
        "[attention] probabilities must have 6 heads, as q, but has 1");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 6, 1, 24})) ==
        "[attention] probabilities must have 16 positions of queries, as q, but has 1");
  CHECK(with(good(), &Attention::probabilities, tensor(16, {2, 6, 16, 32})) ==
        "[attention] probabilities must have 24 positions of keys, as k, but has 32");
  CHECK(with(good(), &Attention::probabilities, tensor(1, {2, 6, 16, 24})) ==
        "[attention] probabilities must not overlap out, but they share memory");
  Attention args = good();
  args.probabilities = tensor(16, {2, 6, 16, 24});  // without dropout
  CHECK(passes_checks(args));
}

TEST_CASE("attention: packed sequences") {
  CHECK(passes_checks(packed()));
  CHECK(with(packed(), &Attention::q, tensor(2, {1, 32, 6, 128})) ==
        "[attention] q must have 3 dimensions [total_q, heads, head_dim], but has 4");
  CHECK(with(packed(), &Attention::k, tensor(3, {1, 48, 3, 128})) ==
        "[attention] k must have 3 dimensions [total_k, kv_heads, head_dim], but has 4");
  CHECK(with(packed(), &Attention::v, tensor(4, {47, 3, 64})) ==
        "[attention] v must have 48 positions, as k, but has 47");
  CHECK(with(packed(), &Attention::v, tensor(4, {48, 6, 64})) ==
        "[attention] v must have 3 heads, as k, but has 6");
  CHECK(with(packed(), &Attention::out, tensor(1, {33, 6, 64})) ==
        "[attention] out must have 32 positions, as q, but has 33");
  CHECK(with(packed(), &Attention::lse, tensor(5, {3, 6, 32}, f32)) ==
        "[attention] lse must have 2 dimensions [heads, total_q], but has 3");
  CHECK(with(packed(), &Attention::lse, tensor(5, {32, 6}, f32)) ==
        "[attention] lse must have 6 heads, as q, but has 32");
  CHECK(with(packed(), &Attention::cu_seqlens_q, tensor(6, {2, 2}, i32)) ==
        "[attention] cu_seqlens_q must have 1 dimension [batch + 1] of at least 1 element, but is [2, 2]");
  CHECK(with(packed(), &Attention::cu_seqlens_q, Tensor(nullptr, i32, {0})) ==
        "[attention] cu_seqlens_q must have 1 dimension [batch + 1] of at least 1 element, but is [0]");
  CHECK(with(packed(), &Attention::cu_seqlens_q, tensor(6, {4}, f32)) ==
        "[attention] cu_seqlens_q must have dtype i32, but has f32");
  CHECK(with(packed(), &Attention::cu_seqlens_q, Tensor(address(6 << 20), i32, {4}, {2})) ==
        "[attention] cu_seqlens_q must be contiguous in its last dimension (stride 1), but has stride 2");
  CHECK(with(packed(), &Attention::cu_seqlens_k, tensor(7, {3}, i32)) ==
        "[attention] cu_seqlens_k must have 4 elements, one more than the batch, but has 3");
  CHECK(with(packed(), &Attention::cu_seqlens_k, tensor(7, {4, 1}, i32)) ==
        "[attention] cu_seqlens_k must have 1 dimension [batch + 1], but has 2");
  CHECK(with(packed(), &Attention::cu_seqlens_k, tensor(1, {4}, i32)) ==
        "[attention] out must not overlap cu_seqlens_k, but they share memory");
  CHECK(with(packed(), &Attention::seqused_q, tensor(8, {4}, i32)) ==
        "[attention] seqused_q must have 3 elements, one per sequence, but has 4");
  CHECK(with(packed(), &Attention::seqused_k, tensor(8, {3, 1}, i32)) ==
        "[attention] seqused_k must have 1 dimension [batch], but has 2");
  CHECK(with(packed(), &Attention::seqused_k, tensor(8, {3}, f16)) ==
        "[attention] seqused_k must have dtype i32, but has f16");
  CHECK(with(packed(), &Attention::seqused_k, tensor(5, {3}, i32)) ==
        "[attention] lse must not overlap seqused_k, but they share memory");
}

TEST_CASE("attention: queries packed and keys not, or the other way round") {
  Attention args = packed();
  args.cu_seqlens_k = {};
  args.k = tensor(3, {3, 24, 3, 128});
  args.v = tensor(4, {3, 24, 3, 64});
  CHECK(passes_checks(args));
  CHECK(with(args, &Attention::k, tensor(3, {2, 24, 3, 128})) ==
        "[attention] k must have 3 batches, one fewer than the elements of cu_seqlens_q, but has 2");
  CHECK(with(args, &Attention::v, tensor(4, {2, 24, 3, 64})) ==
        "[attention] v must have 3 batches, one fewer than the elements of cu_seqlens_q, but has 2");

  args = good();
  args.cu_seqlens_k = tensor(7, {3}, i32);
  args.k = tensor(3, {48, 3, 128});
  args.v = tensor(4, {48, 3, 64});
  CHECK(passes_checks(args));
  CHECK(with(args, &Attention::cu_seqlens_k, tensor(7, {4}, i32)) ==
        "[attention] cu_seqlens_k must have 3 elements, one more than the batch, but has 4");

  args = good();  // lengths of sequences that are not packed
  args.seqused_q = tensor(6, {2}, i32);
  args.seqused_k = tensor(7, {2}, i32);
  CHECK(passes_checks(args));
  CHECK(with(args, &Attention::seqused_q, tensor(6, {1}, i32)) ==
        "[attention] seqused_q must have 2 elements, one per sequence, but has 1");
}

TEST_CASE("attention: pages") {
  CHECK(passes_checks(paged()));
  CHECK(with(paged(), &Attention::block_table, tensor(8, {3, 5}, i32)) ==
        "[attention] block_table must have 2 batches, as q, but has 3");
  CHECK(with(paged(), &Attention::block_table, tensor(8, {10}, i32)) ==
        "[attention] block_table must have 2 dimensions [batch, max_pages], but has 1");
  CHECK(with(paged(), &Attention::block_table, tensor(8, {2, 5}, f32)) ==
        "[attention] block_table must have dtype i32, but has f32");
  CHECK(with(paged(), &Attention::block_table, tensor(8, {2, std::int64_t{1} << 28}, i32)) ==
        "[attention] block_table must lead to at most 2^30 keys per sequence, but has 268435456 pages of 8");
  CHECK(
      with(paged(), &Attention::cu_seqlens_k, tensor(7, {3}, i32)) ==
      "[attention] block_table must not be given with cu_seqlens_k: k and v are either paged or packed; the "
      "lengths of paged sequences are seqused_k");
  CHECK(with(paged(), &Attention::k, tensor(3, {80, 3, 128})) ==
        "[attention] k must have 4 dimensions [pages, page_size, kv_heads, head_dim], but has 3");
  CHECK(with(paged(), &Attention::v, tensor(4, {9, 8, 3, 64})) ==
        "[attention] v must have 10 pages, as k, but has 9");
  CHECK(with(paged(), &Attention::v, tensor(4, {10, 16, 3, 64})) ==
        "[attention] v must have 8 positions, as k, but has 16");
  Attention args = paged();
  args.k = Tensor(nullptr, f16, {10, 0, 3, 128});
  args.v = Tensor(nullptr, f16, {10, 0, 3, 64});
  CHECK(refusal(args) == "[attention] k must have pages of at least 1 position, but has 0");

  args = paged();
  args.block_table = Tensor(address(8 << 20), i32, {2, 5}, {8, 1});  // rows may lie apart
  args.seqused_k = tensor(7, {2}, i32);
  args.bias = tensor(16, {1, 6, 16, 33}, f32);
  CHECK(passes_checks(args));
  args.q = tensor(2, {32, 6, 128});
  args.out = tensor(1, {32, 6, 64});
  args.lse = {};
  args.bias = {};
  args.cu_seqlens_q = tensor(6, {3}, i32);
  CHECK(passes_checks(args));
}

TEST_CASE("attention: positions are counted in 31 bits") {
  const std::int64_t many = (std::int64_t{1} << 30) + 1;
  CHECK(with(good(), &Attention::q, tensor(64, {2, many, 6, 128})) ==
        "[attention] q must have at most 2^30 positions, but has 1073741825");
  CHECK(with(good(), &Attention::k, tensor(64, {2, many, 3, 128})) ==
        "[attention] k must have at most 2^30 positions, but has 1073741825");
}

TEST_CASE("attention: no sequences are no launch") {
  Attention args = packed();
  args.cu_seqlens_q = tensor(6, {1}, i32);
  args.cu_seqlens_k = tensor(7, {1}, i32);
  CHECK(refusal(args) == "accepted");
}
