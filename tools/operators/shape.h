// Shape: the keys that say what a call of an operator computes, such as rows=4096, from text, JSON or the
// command line; what is not given has the default of the operator's table of keys.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sprue/tensor.h"

namespace sprue::tools {

struct Key {
  const char* name;
  const char* otherwise;  ///< The default as text, or the key whose value it is; "": the key must be given.
  const char* help;

  bool is_flag() const;  ///< It is true or false.
};

class Shape {
 public:
  /// ArgumentError if `given` is not an object or has a key that is not in `keys`. Keeps references to the
  /// first two.
  Shape(const std::string& op, const std::vector<Key>& keys, nlohmann::ordered_json given);

  bool has(std::string_view key) const { return given_.contains(key); }

  // ArgumentError, with the key and its value, if the value is of another kind or out of range.
  std::int64_t extent(const char* key) const { return integer(key, 1); }
  std::int64_t integer(const char* key, std::int64_t least) const;
  double number(const char* key) const;
  float real(const char* key) const { return static_cast<float>(number(key)); }
  bool flag(const char* key) const;
  std::string text(const char* key) const;
  /// A list, or one integer; empty if the key is not given.
  std::vector<std::int64_t> integers(const char* key, std::int64_t least) const;
  DType dtype(const char* key = "dtype") const;
  nlohmann::ordered_json value(const char* key) const;

  /// Throws the ArgumentError of a value that is not `wanted`.
  [[noreturn]] void refuse(const char* key, const std::string& wanted) const;

 private:
  const std::string& op_;
  const std::vector<Key>& keys_;
  nlohmann::ordered_json given_;
};

/// "8192", "true", "1.5" and "bf16" as JSON; "3,5,8" is a list.
nlohmann::ordered_json shape_value(const std::string& text);

/// The dtype of that name; ArgumentError if it is not one of floating point.
DType parse_dtype(std::string_view name);

/// "rows hidden weight=true dtype=bf16", and the same with a line of help for each.
std::string summary(const std::vector<Key>& keys);
std::string help(const std::vector<Key>& keys);

}  // namespace sprue::tools
