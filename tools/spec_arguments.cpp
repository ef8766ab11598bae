#include "spec_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "codegen/suggest.h"
#include "driver/device.h"
#include "driver/driver.h"
#include "sprue/error.h"

namespace sprue::tools {

using nlohmann::ordered_json;

Request parse_request(const codegen::Manifest& manifest, const std::vector<std::string>& assignments) {
  Request request{.kernel = manifest.kernel, .problem = {}};
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw ArgumentError(fmt::format("a parameter must be written NAME=VALUE, such as {}=..., but is '{}'",
                                      manifest.problem.front().name, assignment));
    }
    const std::string name = assignment.substr(0, equals);
    const codegen::Parameter* parameter = manifest.find(name);
    if (parameter == nullptr) {
      std::vector<std::string> known;
      for (const codegen::Parameter& p : manifest.problem) known.push_back(p.name);
      for (const codegen::Parameter& p : manifest.schedule) known.push_back(p.name);
      throw ArgumentError(fmt::format("{} has no parameter {}; it has {}{}", manifest.kernel, name,
                                      codegen::join(known), codegen::did_you_mean(name, known)));
    }
    const bool is_problem =
        parameter < manifest.problem.data() + manifest.problem.size() && parameter >= manifest.problem.data();
    Values& values = is_problem ? request.problem : request.schedule;
    if (!values.emplace(name, parameter->parse(assignment.substr(equals + 1))).second) {
      throw ArgumentError(fmt::format("{} must be given once, but is given twice", name));
    }
  }
  return request;
}

std::vector<Architecture> parse_architectures(const std::vector<std::string>& texts) {
  std::vector<Architecture> architectures;
  for (const std::string& text : texts) {
    for (std::size_t start = 0; start <= text.size();) {
      const std::size_t end = std::min(text.find(',', start), text.size());
      const Architecture arch = architecture(text.substr(start, end - start));
      if (std::find(architectures.begin(), architectures.end(), arch) == architectures.end())
        architectures.push_back(arch);
      start = end + 1;
    }
  }
  return architectures;
}

Architecture chosen_architecture(const std::string& text) {
  if (!text.empty()) return architecture(text);
  if (!driver::available() || driver::device_count() == 0) {
    throw ArgumentError(
        "this machine has no GPU to choose the architecture by; give one, such as --arch sm_90");
  }
  return driver::device_info(0).architecture;
}

std::string print_short(const codegen::Manifest& manifest, const Values& problem) {
  std::string text;
  for (const codegen::Parameter& parameter : manifest.problem) {
    const auto value = problem.find(parameter.name);
    if (value == problem.end() || parameter.fallback == value->second) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", parameter.name, print(value->second));
  }
  return text;
}

ordered_json to_json(const Value& value) {
  return std::visit([](const auto& v) { return ordered_json(v); }, value);
}

ordered_json to_json(const Values& values) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, value] : values) json[name] = to_json(value);
  return json;
}

Values values_from_json(const ordered_json& json) {
  Values values;
  for (const auto& [name, value] : json.items()) {
    if (value.is_boolean()) {
      values[name] = value.get<bool>();
    } else if (value.is_number_integer()) {
      values[name] = value.get<std::int64_t>();
    } else {
      values[name] = value.get<std::string>();
    }
  }
  return values;
}

}  // namespace sprue::tools
