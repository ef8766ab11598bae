// The keys and files of attention: what the command line of `sprue run`, `bench` and `tune` calls its
// features.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "operators/attention_shape.h"
#include "reference/scalar.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

std::vector<std::int64_t> integers(const std::string& name, const HostTensor& tensor) {
  require_rank(name, tensor, 1, "[batch]");
  const auto values = reference::widen(tensor.bytes, tensor.dtype);
  return {values.begin(), values.end()};
}

/// Sets `lengths` from cu_seqlens or seqused; whether sequences are packed.
bool read_lengths(const Files& files, const std::string& side, const char* key, ordered_json& shape) {
  const auto starts = files.find("cu_seqlens_" + side), used = files.find("seqused_" + side);
  if (starts != files.end() && used != files.end()) {
    throw ArgumentError(fmt::format("{} and {} cannot be given together", option_name(starts->first),
                                    option_name(used->first)));
  }
  if (starts != files.end()) shape[key] = lengths_between(starts->first, starts->second);
  if (used != files.end()) shape[key] = integers(used->first, used->second);
  return starts != files.end();
}

void require_dtype(const char* name, const HostTensor& tensor) {
  if (tensor.dtype != DType::f32) return;
  throw ArgumentError(fmt::format(
      "{} holds 32-bit or 64-bit floats, but attention takes f16 and bf16: add --dtype bf16 or --dtype f16 "
      "to convert",
      option_name(name)));
}

}  // namespace

std::vector<Key> attention_keys() {
  return {{"batch", "1", "Sequences"},
          {"seqlen", "", "Length of all sequences; or seqlen_q and seqlen_k"},
          {"seqlen_q", "", "Queries of a sequence"},
          {"seqlen_k", "", "Keys and values of a sequence"},
          {"lengths", "", "Of each sequence, 5,17,...; or 16..2048: batch lengths between them"},
          {"lengths_k", "", "Likewise, of keys and values where they differ"},
          {"storage", "packed", "Of sequences with lengths: packed, or padded to seqlen"},
          {"page_size", "0", "Keys and values lie in pages of so many; 0: they do not"},
          {"heads", "", "Of the queries"},
          {"kv_heads", "heads", "Of keys and values"},
          {"head_dim", "", "Of queries and keys"},
          {"head_dim_v", "head_dim", "Of values and output"},
          {"causal", "false", "Query i sees keys up to its position, i + seqlen_k - seqlen_q"},
          {"scale", "1/sqrt(head_dim)", "Of the scores"},
          {"window_left", "-1", "Keys seen before a query's position; -1: all"},
          {"window_right", "-1", "Keys seen behind a query's position; -1: all"},
          {"chunk", "0", "A query sees the keys of its own chunk of so many; 0: all"},
          {"softcap", "0", "Scores become softcap * tanh(score / softcap); 0: no"},
          {"alibi", "false", "Add the standard ALiBi slopes times the distance"},
          {"bias", "false", "Add a bias to the scores: true, or its extents such as 1x8x1x128"},
          {"sinks", "false", "A logit per head takes probability"},
          {"dropout", "0", "Probability of dropping"},
          {"dropout_seed", "0", "Of the dropout pattern"},
          {"batch_invariant", "false", "The same bits whatever else is in the batch"},
          {"portable", "false", "The kernel that runs everywhere, also where there is a faster one"},
          {"dtype", "bf16", "f16 or bf16"}};
}

std::vector<Input> attention_inputs() {
  using Type = Input::Type;
  return {{"q", "The queries"},
          {"k", "The keys"},
          {"v", "The values"},
          {"alibi", "Slopes [heads] or [batch, heads] of ALiBi", Type::f32},
          {"bias", "A bias [batch or 1, heads or 1, seqlen_q or 1, seqlen_k] of the scores", Type::own},
          {"sinks", "A logit per head that takes probability", Type::f32},
          {"cu_seqlens_q", "Where packed sequences start in q [batch + 1]", Type::i32},
          {"cu_seqlens_k", "Where packed sequences start in k and v [batch + 1]", Type::i32},
          {"seqused_q", "Lengths of padded sequences in q [batch]", Type::i32},
          {"seqused_k", "Lengths of padded or paged sequences in k and v [batch]", Type::i32},
          {"block_table", "Pages of k and v [batch, most pages]", Type::i32}};
}

std::vector<std::string> attention_cases() {
  constexpr int kTokens = 16384, kModelDim = 2048;
  std::vector<std::string> cases;
  for (const int head_dim : {64, 128, 256}) {
    for (const bool causal : {false, true}) {
      for (const int seqlen : {1024, 2048, 4096, 8192, 16384}) {
        if (head_dim != 128 && seqlen != 8192) continue;
        cases.push_back(fmt::format("batch={},seqlen={},heads={},head_dim={},causal={}", kTokens / seqlen,
                                    seqlen, kModelDim / head_dim, head_dim, causal));
      }
    }
  }
  return cases;
}

void read_attention_files(const Files& files, bool random, ordered_json& shape) {
  if (const auto bias = files.find("bias"); bias != files.end()) {
    require_rank("bias", bias->second, 4, "[batch or 1, heads or 1, seqlen_q or 1, seqlen_k]");
    shape["bias"] = fmt::format("{}", fmt::join(bias->second.shape, "x"));
  }
  if (random) return;
  const HostTensor &q = needed(files, "q"), &k = needed(files, "k"), &v = needed(files, "v");
  const bool packed_q = read_lengths(files, "q", "lengths", shape);
  const bool packed_k = read_lengths(files, "k", "lengths_k", shape);
  const bool paged = files.count("block_table") != 0;
  const auto require = [](const char* name, const HostTensor& tensor, bool packed, const char* layout) {
    require_rank(name, tensor, packed ? 3 : 4, packed ? "[total, heads, head_dim]" : layout);
    require_dtype(name, tensor);
  };
  const char* const layout = "[batch, seqlen, heads, head_dim]";
  const char* const layout_k = paged ? "[pages, page_size, heads, head_dim]" : layout;
  require("q", q, packed_q, layout);
  require("k", k, packed_k, layout_k);
  require("v", v, packed_k, layout_k);
  if (paged && !shape.contains("lengths_k")) throw ArgumentError("--block-table needs --seqused-k");
  const bool padded =
      (shape.contains("lengths") && !packed_q) || (shape.contains("lengths_k") && !packed_k && !paged);
  if (padded && (packed_q || packed_k)) {
    throw ArgumentError(
        "--cu-seqlens-q and --seqused-k, or the other way round, cannot be given together, "
        "except with --block-table");
  }
  shape["storage"] = padded ? "padded" : "packed";
  if (!packed_q) {
    shape["batch"] = q.shape[0];
    shape["seqlen_q"] = q.shape[1];
  }
  if (paged) {
    shape["page_size"] = k.shape[1];
  } else if (!packed_k) {
    shape["seqlen_k"] = k.shape[1];
  }
  shape["heads"] = q.shape[q.shape.size() - 2];
  shape["kv_heads"] = k.shape[k.shape.size() - 2];
  shape["head_dim"] = q.shape.back();
  shape["head_dim_v"] = v.shape.back();
  shape["dtype"] = name_of(q.dtype);
}

}  // namespace sprue::tools
