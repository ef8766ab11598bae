// Manifest from JSON, with every check that needs no template.
#include <fmt/format.h>

#include <algorithm>

#include "codegen/json.h"
#include "codegen/manifest.h"
#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxValues = 1024;  // of one parameter, where they are listed or tried one by one

std::vector<std::string> names_of(const std::vector<Parameter>& parameters) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name);
  return names;
}

/// A string's text starts one column behind its opening quote.
Expression expression(const Json& json, const std::vector<std::string>& known, std::string_view what) {
  Expression parsed = Expression::parse(json.as_string(), *json.file, json.line, json.column + 1);
  parsed.check_names(known, what);
  return parsed;
}

void add_value(const Json& json, Parameter& parameter) {
  const Value value = json.as_value();
  if (std::find(parameter.values.begin(), parameter.values.end(), value) != parameter.values.end()) {
    json.fail(fmt::format("the value {} is listed twice", print(value)));
  }
  if (parameter.values.size() == kMaxValues)
    json.fail(fmt::format("at most {} values may be listed", kMaxValues));
  parameter.values.push_back(value);
}

void read_integer(const Json& json, Parameter& parameter) {
  parameter.kind = Parameter::Kind::integer;
  if (json.kind == Json::Kind::array) {
    for (const Json& item : json.as_array()) {
      item.as_integer();
      add_value(item, parameter);
    }
    if (parameter.values.empty()) json.fail("the list of legal values must not be empty");
    return;
  }
  json.with_keys({"min", "max", "multiple"});
  parameter.minimum = json.at("min").as_integer();
  parameter.maximum = json.at("max").as_integer();
  if (const Json* multiple = json.find("multiple")) {
    parameter.multiple = multiple->as_integer();
    if (parameter.multiple < 1)
      multiple->fail(fmt::format("multiple must be at least 1, but is {}", parameter.multiple));
  }
  for (const char* end : {"min", "max"}) {
    if (json.at(end).integer % parameter.multiple != 0) {
      json.at(end).fail(fmt::format("{} must be a multiple of {}, but is {}", end, parameter.multiple,
                                    json.at(end).integer));
    }
  }
  if (parameter.minimum > parameter.maximum) {
    json.fail(fmt::format("min must not exceed max, but {} > {}", parameter.minimum, parameter.maximum));
  }
}

void read_choice(const Json& json, Parameter& parameter) {
  parameter.kind = Parameter::Kind::choice;
  for (const Json& item : json.as_array()) {
    const std::string& text = item.as_string();
    const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
    if (!plain) item.fail(fmt::format("a choice must be made of letters, digits and _, but is \"{}\"", text));
    add_value(item, parameter);
  }
  if (parameter.values.empty()) json.fail("the list of choices must not be empty");
}

Parameter read_parameter(const Json& json) {
  Parameter parameter;
  parameter.name = json.key;
  if (!is_upper_snake(parameter.name)) {
    json.fail_key(fmt::format("a parameter's name must look like HEAD_DIM, but is \"{}\"", parameter.name));
  }
  for (const std::string_view reserved : {"SM", "SHARED_BYTES", "SHARED_BYTES_LIMIT"}) {
    if (parameter.name == reserved) json.fail_key(fmt::format("the name {} is reserved for rules", reserved));
  }
  json.with_keys({"boolean", "integer", "choice", "default", "doc"});
  const Json *boolean = json.find("boolean"), *integer = json.find("integer"), *choice = json.find("choice");
  if ((boolean != nullptr) + (integer != nullptr) + (choice != nullptr) != 1) {
    json.fail(
        fmt::format("{} must have exactly one of the keys boolean, integer and choice", parameter.name));
  }
  if (boolean != nullptr) {
    if (!boolean->as_boolean())
      boolean->fail("\"boolean\" only marks the kind and must be true; use \"default\"");
    parameter.values = {false, true};
  }
  if (integer != nullptr) read_integer(*integer, parameter);
  if (choice != nullptr) read_choice(*choice, parameter);
  if (const Json* fallback = json.find("default")) {
    parameter.fallback = fallback->as_value();
    if (!parameter.admits(*parameter.fallback)) {
      fallback->fail(fmt::format("the default of {} must be {}, but is {}", parameter.name,
                                 parameter.legal_values(), print(*parameter.fallback)));
    }
  }
  parameter.doc = json.at("doc").as_string();
  return parameter;
}

void read_parameters(const Json& json, const Manifest& manifest, std::vector<Parameter>& into) {
  for (const Json& member : json.as_object()) {
    if (manifest.find(member.key) != nullptr) {
      member.fail_key(
          fmt::format("{} is a problem parameter and cannot be a schedule parameter too", member.key));
    }
    into.push_back(read_parameter(member));
  }
}

/// Schedule parameters are searched, so their values must be few.
void list_schedule_values(const Json& json, std::vector<Parameter>& parameters) {
  for (Parameter& parameter : parameters) {
    if (!parameter.values.empty()) continue;
    // Unsigned, because the difference of two 64-bit integers may need 64 bits itself.
    const std::uint64_t steps =
        (static_cast<std::uint64_t>(parameter.maximum) - static_cast<std::uint64_t>(parameter.minimum)) /
        static_cast<std::uint64_t>(parameter.multiple);
    if (steps >= kMaxValues) {
      json.at(parameter.name)
          .fail(fmt::format("a schedule parameter may have at most {} values, but {} has {}", kMaxValues,
                            parameter.name, steps + 1));
    }
    for (std::uint64_t i = 0; i <= steps; ++i) {
      parameter.values.push_back(parameter.minimum + static_cast<std::int64_t>(i) * parameter.multiple);
    }
  }
}

Values read_schedule(const Json& json, const Manifest& manifest) {
  Values schedule;
  for (const Json& member : json.as_object()) {
    const auto parameter = std::find_if(manifest.schedule.begin(), manifest.schedule.end(),
                                        [&](const Parameter& p) { return p.name == member.key; });
    if (parameter == manifest.schedule.end()) {
      const std::vector<std::string> known = names_of(manifest.schedule);
      member.fail_key(
          fmt::format("{} is no schedule parameter{}", member.key, did_you_mean(member.key, known)));
    }
    const Value value = member.as_value();
    if (!parameter->admits(value)) {
      member.fail(
          fmt::format("{} must be {}, but is {}", member.key, parameter->legal_values(), print(value)));
    }
    schedule.emplace(member.key, value);
  }
  for (const Parameter& parameter : manifest.schedule) {
    if (schedule.contains(parameter.name)) continue;
    if (!parameter.fallback) json.fail(fmt::format("{} is missing in this schedule", parameter.name));
    schedule.emplace(parameter.name, *parameter.fallback);
  }
  return schedule;
}

void read_launch(const Json& json, Manifest& manifest) {
  json.with_keys({"threads", "shared_bytes", "rows_per_block", "blocks_per_row", "columns_per_tile", "walks",
                  "programmatic"});
  std::vector<std::string> known = names_of(manifest.problem);
  for (const std::string& name : names_of(manifest.schedule)) known.push_back(name);
  manifest.threads = expression(json.at("threads"), known, "parameter");
  manifest.shared_bytes = expression(json.at("shared_bytes"), known, "parameter");
  manifest.rows_per_block = expression(json.at("rows_per_block"), known, "parameter");
  if (const Json* blocks = json.find("blocks_per_row"))
    manifest.blocks_per_row = expression(*blocks, known, "parameter");
  if (const Json* keys = json.find("columns_per_tile"))
    manifest.columns_per_tile = expression(*keys, known, "parameter");
  if (const Json* walks = json.find("walks")) manifest.walks = expression(*walks, known, "parameter");
  if (const Json* programmatic = json.find("programmatic"))
    manifest.programmatic = expression(*programmatic, known, "parameter");
  if (manifest.find("THREADS") != nullptr && manifest.threads.text() != "THREADS") {
    json.at("threads").fail(fmt::format(
        "there is a parameter THREADS, so \"threads\" must be THREADS, but is {}", manifest.threads.text()));
  }
}

void read_rules(const Json& json, Manifest& manifest) {
  std::vector<std::string> known = {"SM", "SHARED_BYTES", "SHARED_BYTES_LIMIT", "THREADS"};
  for (const auto* parameters : {&manifest.problem, &manifest.schedule}) {
    for (const Parameter& parameter : *parameters) known.push_back(parameter.name);
  }
  for (const Json& item : json.as_array()) {
    item.with_keys({"rule", "reason"});
    manifest.rules.push_back(
        {expression(item.at("rule"), known, "parameter"), item.at("reason").as_string()});
  }
}

void read_defaults(const Json& json, Manifest& manifest) {
  std::vector<std::string> known = names_of(manifest.problem);
  known.push_back("SM");
  known.push_back("SHARED_BYTES_LIMIT");
  for (const Json& item : json.as_array()) {
    item.with_keys({"when", "architectures", "schedule", "measured"});
    ScheduleRow row;
    if (const Json* when = item.find("when"))
      row.when = expression(*when, known, "problem parameter, SM or SHARED_BYTES_LIMIT");
    if (const Json* architectures = item.find("architectures"))
      row.architectures = architectures->as_architectures();
    if (const Json* measured = item.find("measured")) row.measured = measured->as_string();
    row.schedule = read_schedule(item.at("schedule"), manifest);
    manifest.defaults.push_back(std::move(row));
  }
  if (manifest.defaults.empty()) json.fail("there must be at least one default schedule");
  if (manifest.defaults.back().when || !manifest.defaults.back().architectures.empty()) {
    json.items.back().fail(
        "the last default must hold for every problem: it may have neither \"when\" nor \"architectures\"");
  }
}

/// "attention" and "attention_portable" of "attention/attention_portable.json".
void name_from_path(std::string_view path, Manifest& manifest) {
  const std::size_t slash = path.rfind('/');
  const std::size_t start = slash == std::string_view::npos ? 0 : slash + 1;
  manifest.family = path.substr(0, start == 0 ? 0 : slash);
  manifest.kernel = path.substr(start, path.rfind('.') - start);
}

}  // namespace

Manifest parse_manifest(std::string_view path, std::string_view text) {
  const Json json = parse_json(path, text);
  json.with_keys({"kernel", "operator", "summary", "architectures", "problem", "schedule", "rules", "launch",
                  "defaults"});
  Manifest manifest;
  name_from_path(path, manifest);
  if (json.at("kernel").as_string() != manifest.kernel) {
    json.at("kernel").fail(fmt::format("the kernel must be named after its file, {}, but is named {}",
                                       manifest.kernel, json.at("kernel").string));
  }
  if (!is_lower_snake(manifest.kernel)) {
    json.at("kernel").fail(
        fmt::format("a kernel's name must look like rms_norm, but is {}", manifest.kernel));
  }
  manifest.operation = json.at("operator").as_string();
  manifest.summary = json.at("summary").as_string();
  manifest.architectures = json.at("architectures").as_architectures();
  read_parameters(json.at("problem"), manifest, manifest.problem);
  read_parameters(json.at("schedule"), manifest, manifest.schedule);
  list_schedule_values(json.at("schedule"), manifest.schedule);
  read_launch(json.at("launch"), manifest);
  if (const Json* rules = json.find("rules")) read_rules(*rules, manifest);
  read_defaults(json.at("defaults"), manifest);
  return manifest;
}

}  // namespace sprue::codegen
