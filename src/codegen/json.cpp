// Json: checked access, and printing.
#include "codegen/json.h"

#include <fmt/format.h>

#include <cmath>

#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kLineWidth = 110;

std::string describe(const Json& json) {
  switch (json.kind) {
    case Json::Kind::null:
      return "null";
    case Json::Kind::boolean:
      return json.boolean ? "true" : "false";
    case Json::Kind::integer:
      return fmt::format("the integer {}", json.integer);
    case Json::Kind::real:
      return fmt::format("the number {}", json.real);
    case Json::Kind::string:
      return fmt::format("the string \"{}\"", json.string.substr(0, 60));
    case Json::Kind::array:
      return "an array";
    case Json::Kind::object:
      return "an object";
  }
  return "";
}

void expect(const Json& json, Json::Kind kind, std::string_view expected) {
  if (json.kind != kind) json.fail(fmt::format("expected {}, but this is {}", expected, describe(json)));
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string in_one_line(const Json& json) {
  switch (json.kind) {
    case Json::Kind::null:
      return "null";
    case Json::Kind::boolean:
      return json.boolean ? "true" : "false";
    case Json::Kind::integer:
      return std::to_string(json.integer);
    case Json::Kind::real:
      return std::isfinite(json.real) ? fmt::format("{}", json.real) : "null";
    case Json::Kind::string:
      return quoted(json.string);
    case Json::Kind::array:
    case Json::Kind::object:
      break;
  }
  const bool object = json.kind == Json::Kind::object;
  std::string text;
  for (const Json& item : json.items) {
    if (!text.empty()) text += ", ";
    if (object) text += quoted(item.key) + ": ";
    text += in_one_line(item);
  }
  return object ? '{' + text + '}' : '[' + text + ']';
}

void print_to(std::string& out, const Json& json, std::size_t indent, std::size_t used) {
  const std::string line = in_one_line(json);
  if (json.items.empty() || used + line.size() <= kLineWidth) {
    out += line;
    return;
  }
  const bool object = json.kind == Json::Kind::object;
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < json.items.size(); ++i) {
    const std::string name = object ? quoted(json.items[i].key) + ": " : "";
    out += (i == 0 ? "\n" : ",\n") + std::string(indent + 2, ' ') + name;
    print_to(out, json.items[i], indent + 2, indent + 3 + name.size());
  }
  out += '\n' + std::string(indent, ' ') + (object ? '}' : ']');
}

}  // namespace

Json::Json(const Value& value) {
  if (const bool* b = std::get_if<bool>(&value)) {
    kind = Kind::boolean;
    boolean = *b;
  } else if (const std::int64_t* i = std::get_if<std::int64_t>(&value)) {
    kind = Kind::integer;
    integer = *i;
  } else {
    kind = Kind::string;
    string = std::get<std::string>(value);
  }
}

Json::Json(double value) : kind(Kind::real), real(value) {}

Json::Json(const Values& values) : kind(Kind::object) {
  for (const auto& [name, value] : values) add(name, Json(value));
}

Json::Json(const std::vector<std::string>& strings) : kind(Kind::array) {
  for (const std::string& text : strings) items.push_back(of(text));
}

Json Json::of(Kind kind) {
  Json json;
  json.kind = kind;
  return json;
}

Json Json::of(std::string_view text) {
  Json json = of(Kind::string);
  json.string = text;
  return json;
}

Json& Json::add(std::string_view name, Json value) {
  value.key = name;
  items.push_back(std::move(value));
  return *this;
}

const Json* Json::find(std::string_view name) const {
  if (kind != Kind::object) return nullptr;
  for (const Json& item : items) {
    if (item.key == name) return &item;
  }
  return nullptr;
}

const Json& Json::at(std::string_view name) const {
  as_object();
  if (const Json* member = find(name)) return *member;
  fail(fmt::format("the key \"{}\" is missing here", name));
}

bool Json::as_boolean() const {
  expect(*this, Kind::boolean, "true or false");
  return boolean;
}

std::int64_t Json::as_integer() const {
  expect(*this, Kind::integer, "an integer");
  return integer;
}

double Json::as_number() const {
  if (kind == Kind::integer) return static_cast<double>(integer);
  expect(*this, Kind::real, "a number");
  return real;
}

const std::string& Json::as_string() const {
  expect(*this, Kind::string, "a string");
  return string;
}

Value Json::as_value() const {
  if (kind == Kind::boolean) return boolean;
  if (kind == Kind::integer) return integer;
  expect(*this, Kind::string, "true, false, an integer or a string");
  return string;
}

Values Json::as_values() const {
  Values values;
  for (const Json& member : as_object()) values.emplace(member.key, member.as_value());
  return values;
}

std::vector<std::string> Json::as_architectures() const {
  std::vector<std::string> names;
  for (const Json& item : as_array()) {
    if (!parse_architecture(item.as_string())) {
      item.fail(fmt::format("an architecture must look like sm_80 or sm_90a, but is \"{}\"", item.string));
    }
    names.push_back(item.string);
  }
  if (names.empty()) fail("the list of architectures must not be empty");
  return names;
}

const std::vector<Json>& Json::as_array() const {
  expect(*this, Kind::array, "an array");
  return items;
}

const std::vector<Json>& Json::as_object() const {
  expect(*this, Kind::object, "an object");
  return items;
}

const Json& Json::with_keys(std::initializer_list<std::string_view> known) const {
  const std::vector<std::string> names(known.begin(), known.end());
  for (const Json& member : as_object()) {
    bool found = false;
    for (const std::string& name : names) found |= name == member.key;
    if (!found) {
      member.fail_key(fmt::format("unknown key \"{}\"{}; the keys here are {}", member.key,
                                  did_you_mean(member.key, names), join(names)));
    }
  }
  return *this;
}

void Json::fail(const std::string& message) const {
  throw TemplateError(file ? *file : "", line, column, message);
}

void Json::fail_key(const std::string& message) const {
  throw TemplateError(file ? *file : "", key_line, key_column, message);
}

std::string print_json(const Json& json) {
  std::string text;
  print_to(text, json, 0, 0);
  return text + '\n';
}

}  // namespace sprue::codegen
