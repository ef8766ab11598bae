// The operators, and what their files share.
#include <fmt/format.h>

#include <algorithm>

#include "codegen/suggest.h"
#include "operators/operator.h"
#include "reference/scalar.h"
#include "sprue/error.h"

namespace sprue::tools {

Operator activation_operator();
Operator activation_backward_operator();
Operator attention_operator();
Operator attention_backward_operator();
Operator cross_entropy_operator();
Operator cross_entropy_backward_operator();
Operator layer_norm_operator();
Operator layer_norm_backward_operator();
Operator rms_norm_operator();
Operator rms_norm_backward_operator();
Operator rope_operator();
Operator softmax_operator();
Operator softmax_backward_operator();

const std::vector<Operator>& operators() {
  static const std::vector<Operator> all = {
      activation_operator(),
      activation_backward_operator(),
      attention_operator(),
      attention_backward_operator(),
      cross_entropy_operator(),
      cross_entropy_backward_operator(),
      layer_norm_operator(),
      layer_norm_backward_operator(),
      rms_norm_operator(),
      rms_norm_backward_operator(),
      rope_operator(),
      softmax_operator(),
      softmax_backward_operator(),
  };
  return all;
}

const Operator& find_operator(const std::string& name) {
  std::vector<std::string> names;
  for (const Operator& op : operators()) {
    if (op.name == name) return op;
    names.push_back(op.name);
  }
  throw ArgumentError(fmt::format("the operator must be one of {}, but is '{}'{}", codegen::join(names), name,
                                  codegen::did_you_mean(name, names)));
}

std::string option_name(const std::string& name) {
  std::string option = "--" + name;
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

const HostTensor& needed(const Files& files, const std::string& name) {
  const auto found = files.find(name);
  if (found == files.end()) {
    throw ArgumentError(fmt::format("{} must name a .npy file, unless --random is given", option_name(name)));
  }
  return found->second;
}

void require_rank(const std::string& name, const HostTensor& tensor, std::size_t rank, const char* layout) {
  if (tensor.shape.size() == rank) return;
  throw ArgumentError(fmt::format("{} must have {} dimensions {}, but has {}", option_name(name), rank,
                                  layout, tensor.shape.size()));
}

std::vector<std::int64_t> parse_extents(const std::string& text) {
  std::vector<std::int64_t> extents;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('x', start), text.size());
    const std::string digits = text.substr(start, end - start);
    if (digits.empty() || digits.size() > 12 || digits.find_first_not_of("0123456789") != std::string::npos)
      return {};
    extents.push_back(std::stoll(digits));
    start = end + 1;
  }
  return extents;
}

std::vector<std::int64_t> lengths_between(const std::string& name, const HostTensor& starts) {
  require_rank(name, starts, 1, "[batch + 1]");
  const std::vector<float> values = reference::widen(starts.bytes, starts.dtype);
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 1; i < values.size(); ++i)
    lengths.push_back(static_cast<std::int64_t>(values[i] - values[i - 1]));
  if (lengths.empty() || values.front() != 0 || *std::min_element(lengths.begin(), lengths.end()) < 0) {
    throw ArgumentError(fmt::format("{} must ascend from 0 and have at least 2 values", option_name(name)));
  }
  return lengths;
}

std::vector<float> starts_of(const std::vector<std::int64_t>& lengths) {
  std::vector<float> starts = {0};
  for (const std::int64_t length : lengths) starts.push_back(starts.back() + static_cast<float>(length));
  return starts;
}

std::vector<std::string> row_cases() {
  constexpr std::int64_t kElements = 1 << 27;
  std::vector<std::string> cases;
  for (const std::int64_t hidden : {1024, 2048, 4096, 8192, 16384, 32768, 65536})
    cases.push_back(fmt::format("rows={},hidden={}", kElements / hidden, hidden));
  return cases;
}

void read_rows(const std::string& name, const Files& files, bool random, nlohmann::ordered_json& shape) {
  if (random) return;
  const HostTensor& x = needed(files, name);
  if (x.shape.empty()) {
    throw ArgumentError(
        fmt::format("{} must have at least 1 dimension [..., hidden], but has 0", option_name(name)));
  }
  shape["rows"] = x.shape.back() == 0 ? 0 : x.elements() / x.shape.back();
  shape["hidden"] = x.shape.back();
  shape["dtype"] = name_of(x.dtype);
}

}  // namespace sprue::tools
