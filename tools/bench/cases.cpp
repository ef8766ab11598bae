#include "bench/cases.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "output.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

/// Takes the members of an object one by one and knows which nobody asked for.
class Members {
 public:
  Members(const std::string& op, const ordered_json& json) : op_(op), json_(json) {
    if (!json.is_object())
      throw ArgumentError(fmt::format("a shape of {} must be an object, but is {}", op, json.dump()));
  }

  bool has(const char* key) const { return json_.contains(key); }

  std::int64_t extent(const char* key) {
    const ordered_json& value = take(key);
    if (!value.is_number_integer() || value < 1) refuse(key, "a positive integer", value);
    return value.get<std::int64_t>();
  }
  std::int64_t extent(const char* key, std::int64_t otherwise) { return has(key) ? extent(key) : otherwise; }

  bool flag(const char* key, bool otherwise) {
    if (!has(key)) return otherwise;
    const ordered_json& value = take(key);
    if (!value.is_boolean()) refuse(key, "true or false", value);
    return value.get<bool>();
  }

  DType dtype(DType otherwise) {
    if (!has("dtype")) return otherwise;
    const ordered_json& value = take("dtype");
    if (!value.is_string()) refuse("dtype", "a string", value);
    return parse_dtype(value.get<std::string>());
  }

  void finish() const {
    for (const auto& [key, value] : json_.items()) {
      if (taken_.count(key) == 0) {
        throw ArgumentError(fmt::format("a shape of {} has no '{}'; known are:\n{}", op_, key, kCaseHelp));
      }
    }
  }

 private:
  const ordered_json& take(const char* key) {
    if (!has(key))
      throw ArgumentError(fmt::format("a shape of {} must have '{}', but is {}", op_, key, json_.dump()));
    taken_.insert(key);
    return json_[key];
  }

  [[noreturn]] void refuse(const char* key, const char* wanted, const ordered_json& value) const {
    throw ArgumentError(
        fmt::format("'{}' in a shape of {} must be {}, but is {}", key, op_, wanted, value.dump()));
  }

  const std::string& op_;
  const ordered_json& json_;
  std::set<std::string> taken_;
};

AttentionCase attention_case(Members& members) {
  AttentionCase result;
  reference::AttentionShape& shape = result.shape;
  shape.batch = members.extent("batch", 1);
  if (members.has("seqlen")) {
    shape.seqlen_q = shape.seqlen_k = members.extent("seqlen");
  } else {
    shape.seqlen_q = members.extent("seqlen_q");
    shape.seqlen_k = members.extent("seqlen_k");
  }
  shape.heads = members.extent("heads");
  shape.kv_heads = members.extent("kv_heads", shape.heads);
  shape.head_dim = members.extent("head_dim");
  shape.head_dim_v = members.extent("head_dim_v", shape.head_dim);
  shape.causal = members.flag("causal", false);
  result.lse = members.flag("lse", false);
  result.dtype = members.dtype(DType::bf16);
  return result;
}

RmsNormCase rms_norm_case(Members& members) {
  RmsNormCase result;
  result.rows = members.extent("rows");
  result.hidden = members.extent("hidden");
  result.weight = members.flag("weight", true);
  result.dtype = members.dtype(DType::bf16);
  return result;
}

[[noreturn]] void unknown_operator(const std::string& op) {
  throw ArgumentError(fmt::format("the operator must be attention or rms_norm, but is '{}'", op));
}

/// "8192", "true" and "bf16" as JSON.
ordered_json value_of(const std::string& text) {
  const ordered_json value = ordered_json::parse(text, nullptr, false);
  return value.is_number_integer() || value.is_boolean() ? value : ordered_json(text);
}

AttentionCase attention_case(std::int64_t seqlen, std::int64_t head_dim, bool causal) {
  constexpr std::int64_t kTokens = 16384, kModelDim = 2048;
  const std::int64_t heads = kModelDim / head_dim;
  return {.shape = {.batch = kTokens / seqlen,
                    .seqlen_q = seqlen,
                    .seqlen_k = seqlen,
                    .heads = heads,
                    .kv_heads = heads,
                    .head_dim = head_dim,
                    .head_dim_v = head_dim,
                    .causal = causal}};
}

}  // namespace

const char* const kCaseHelp =
    "  attention  batch=1 seqlen (or seqlen_q and seqlen_k) heads kv_heads=heads head_dim "
    "head_dim_v=head_dim\n"
    "             causal=false lse=false dtype=bf16\n"
    "  rms_norm   rows hidden weight=true dtype=bf16\n";

std::string describe(const Case& shape) {
  if (const auto* attention = std::get_if<AttentionCase>(&shape)) {
    return fmt::format("{}{}, {}", attention->shape.print(), attention->lse ? ", lse" : "",
                       name_of(attention->dtype));
  }
  const auto& norm = std::get<RmsNormCase>(shape);
  return fmt::format("rows {}, hidden {}{}, {}", norm.rows, norm.hidden, norm.weight ? "" : ", no weight",
                     name_of(norm.dtype));
}

DType parse_dtype(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw ArgumentError(fmt::format("a dtype must be f32, f16 or bf16, but is '{}'", name));
}

Case parse_case(const std::string& op, const ordered_json& json) {
  Members members(op, json);
  Case result;
  if (op == "attention") {
    result = attention_case(members);
  } else if (op == "rms_norm") {
    result = rms_norm_case(members);
  } else {
    unknown_operator(op);
  }
  members.finish();
  return result;
}

Case parse_case_text(const std::string& op, std::string_view text) {
  ordered_json json = ordered_json::object();
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string_view part = text.substr(start, end - start);
    const std::size_t equals = part.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      throw ArgumentError(fmt::format("a shape must be written key=value,key=value,..., but has '{}'", part));
    }
    json[std::string(part.substr(0, equals))] = value_of(std::string(part.substr(equals + 1)));
    start = end + 1;
  }
  return parse_case(op, json);
}

std::vector<Case> read_cases(const std::string& op, const std::filesystem::path& file) {
  const ordered_json json = ordered_json::parse(read_file(file), nullptr, false);
  if (!json.is_object() || !json.contains(op) || !json[op].is_array()) {
    throw TemplateError(file.string(), 0, 0,
                        fmt::format("must be JSON such as {{\"{}\": [{{...}}, ...]}}", op));
  }
  std::vector<Case> cases;
  try {
    for (const ordered_json& item : json[op]) cases.push_back(parse_case(op, item));
  } catch (const ArgumentError& error) {
    throw TemplateError(file.string(), 0, 0, error.what());
  }
  return cases;
}

std::vector<Case> default_cases(const std::string& op) {
  std::vector<Case> cases;
  if (op == "attention") {
    for (const std::int64_t head_dim : {64, 128, 256}) {
      for (const bool causal : {false, true}) {
        for (const std::int64_t seqlen : {1024, 2048, 4096, 8192, 16384}) {
          if (head_dim == 128 || seqlen == 8192) cases.emplace_back(attention_case(seqlen, head_dim, causal));
        }
      }
    }
  } else if (op == "rms_norm") {
    constexpr std::int64_t kElements = 1 << 27;
    for (const std::int64_t hidden : {1024, 2048, 4096, 8192, 16384, 32768, 65536}) {
      cases.emplace_back(RmsNormCase{.rows = kElements / hidden, .hidden = hidden});
    }
  } else {
    unknown_operator(op);
  }
  return cases;
}

}  // namespace sprue::tools
