#include "bench/cases.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "output.h"
#include "sprue/error.h"

namespace sprue::tools {

using nlohmann::ordered_json;

Case parse_case(const Operator& op, const ordered_json& json) {
  return op.parse(Shape(op.name, op.keys, json));
}

Case parse_case_text(const Operator& op, std::string_view text) {
  std::vector<std::pair<std::string, std::string>> members;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string part(text.substr(start, end - start));
    const std::size_t equals = part.find('=');
    const bool more =
        equals == std::string::npos && part.find_first_not_of("0123456789") == std::string::npos;
    if (more && !members.empty()) {
      members.back().second += ',' + part;
    } else if (equals == 0 || equals == std::string::npos) {
      throw ArgumentError(fmt::format("a shape must be written key=value,key=value,..., but has '{}'", part));
    } else {
      members.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
    start = end + 1;
  }
  ordered_json json = ordered_json::object();
  for (const auto& [key, value] : members) json[key] = shape_value(value);
  return parse_case(op, json);
}

std::vector<Case> read_cases(const Operator& op, const std::filesystem::path& file) {
  const ordered_json json = ordered_json::parse(read_file(file), nullptr, false);
  if (!json.is_object() || !json.contains(op.name) || !json[op.name].is_array()) {
    throw TemplateError(file.string(), 0, 0,
                        fmt::format("must be JSON such as {{\"{}\": [{{...}}, ...]}}", op.name));
  }
  std::vector<Case> cases;
  try {
    for (const ordered_json& item : json[op.name]) cases.push_back(parse_case(op, item));
  } catch (const ArgumentError& error) {
    throw TemplateError(file.string(), 0, 0, error.what());
  }
  return cases;
}

std::vector<Case> default_cases(const Operator& op) {
  std::vector<Case> cases;
  for (const std::string& text : op.cases) cases.push_back(parse_case_text(op, text));
  return cases;
}

}  // namespace sprue::tools
