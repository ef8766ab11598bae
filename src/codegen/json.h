// Json: a JSON value that knows where it was written, so that every complaint names file, line and column.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/values.h"

namespace sprue::codegen {

struct Json {
  enum class Kind { null, boolean, integer, real, string, array, object };

  Kind kind = Kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string string;
  std::vector<Json> items;  ///< An array's elements, or an object's members, in the order written.
  std::string key;          ///< The name, for a member of an object.
  int line = 0, column = 0, key_line = 0, key_column = 0;
  std::shared_ptr<const std::string> file;

  Json() = default;
  explicit Json(const Value& value);
  explicit Json(double value);
  explicit Json(const Values& values);
  explicit Json(const std::vector<std::string>& strings);
  static Json of(Kind kind);
  static Json of(std::string_view text);

  /// Appends a member to an object.
  Json& add(std::string_view name, Json value);
  /// The member of that name, or nullptr; for objects.
  const Json* find(std::string_view name) const;

  // Checked access. Anything else is a TemplateError that says what was expected and what is there.
  const Json& at(std::string_view name) const;
  bool as_boolean() const;
  std::int64_t as_integer() const;
  double as_number() const;
  const std::string& as_string() const;
  Value as_value() const;  ///< A boolean, an integer or a string.
  Values as_values() const;
  std::vector<std::string> as_architectures() const;  ///< At least one, such as "sm_90a".
  const std::vector<Json>& as_array() const;
  const std::vector<Json>& as_object() const;
  /// An object that has no keys but these.
  const Json& with_keys(std::initializer_list<std::string_view> known) const;

  [[noreturn]] void fail(const std::string& message) const;      ///< At the value.
  [[noreturn]] void fail_key(const std::string& message) const;  ///< At the key.
};

/// TemplateError with line and column for anything that is not one JSON value, for a key that is given twice,
/// for integers beyond 64 bits, nesting deeper than 32 and objects of more than 1024 keys. `path` is what
/// errors call the text.
Json parse_json(std::string_view path, std::string_view text);

/// Indented by two; what fits in one line of 110 columns is in one line. Ends with a newline.
std::string print_json(const Json& json);

}  // namespace sprue::codegen
