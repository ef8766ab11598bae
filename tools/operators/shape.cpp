#include "operators/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sprue/error.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

const Key* find(const std::vector<Key>& keys, std::string_view name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

std::string with_default(const Key& key) {
  return *key.otherwise == '\0' ? key.name : fmt::format("{}={}", key.name, key.otherwise);
}

}  // namespace

bool Key::is_flag() const {
  return otherwise == std::string_view("true") || otherwise == std::string_view("false");
}

Shape::Shape(const std::string& op, const std::vector<Key>& keys, ordered_json given)
    : op_(op), keys_(keys), given_(std::move(given)) {
  if (!given_.is_object())
    throw ArgumentError(fmt::format("a shape of {} must be an object, but is {}", op, given_.dump()));
  for (const auto& [key, value] : given_.items()) {
    if (find(keys, key) == nullptr)
      throw ArgumentError(fmt::format("a shape of {} has no '{}'; known are:\n{}", op, key, summary(keys)));
  }
}

ordered_json Shape::value(const char* key) const {
  if (has(key)) return given_[key];
  const char* const otherwise = find(keys_, key)->otherwise;
  if (*otherwise == '\0')
    throw ArgumentError(fmt::format("a shape of {} must have '{}', but is {}", op_, key, given_.dump()));
  return find(keys_, otherwise) != nullptr ? value(otherwise) : shape_value(otherwise);
}

void Shape::refuse(const char* key, const std::string& wanted) const {
  throw ArgumentError(
      fmt::format("'{}' in a shape of {} must be {}, but is {}", key, op_, wanted, value(key).dump()));
}

std::int64_t Shape::integer(const char* key, std::int64_t least) const {
  const ordered_json result = value(key);
  if (!result.is_number_integer() || result < least)
    refuse(key, least == 1 ? "a positive integer" : fmt::format("an integer from {}", least));
  return result.get<std::int64_t>();
}

double Shape::number(const char* key) const {
  const ordered_json result = value(key);
  if (!result.is_number()) refuse(key, "a number");
  return result.get<double>();
}

bool Shape::flag(const char* key) const {
  const ordered_json result = value(key);
  if (!result.is_boolean()) refuse(key, "true or false");
  return result.get<bool>();
}

std::string Shape::text(const char* key) const {
  const ordered_json result = value(key);
  if (!result.is_string()) refuse(key, "a string");
  return result.get<std::string>();
}

std::vector<std::int64_t> Shape::integers(const char* key, std::int64_t least) const {
  if (!has(key)) return {};
  const ordered_json given = value(key);
  const ordered_json list = given.is_array() ? given : ordered_json::array({given});
  std::vector<std::int64_t> result;
  for (const ordered_json& item : list) {
    if (!item.is_number_integer() || item < least)
      refuse(key, fmt::format("a list of integers from {}", least));
    result.push_back(item.get<std::int64_t>());
  }
  if (result.empty()) refuse(key, "a list that is not empty");
  return result;
}

DType Shape::dtype(const char* key) const {
  return parse_dtype(text(key));
}

ordered_json shape_value(const std::string& text) {
  const bool list = text.find(',') != std::string::npos;
  const ordered_json value = ordered_json::parse(list ? '[' + text + ']' : text, nullptr, false);
  return list ? (value.is_array() ? value : ordered_json(text))
              : (value.is_number() || value.is_boolean() ? value : ordered_json(text));
}

DType parse_dtype(std::string_view name) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    if (name == name_of(dtype)) return dtype;
  }
  throw ArgumentError(fmt::format("a dtype must be f32, f16 or bf16, but is '{}'", name));
}

std::string summary(const std::vector<Key>& keys) {
  std::vector<std::string> words;
  for (const Key& key : keys) words.push_back(with_default(key));
  return fmt::format("{}", fmt::join(words, " "));
}

std::string help(const std::vector<Key>& keys) {
  std::string text;
  for (const Key& key : keys) text += fmt::format("  {:<24} {}\n", with_default(key), key.help);
  return text;
}

}  // namespace sprue::tools
