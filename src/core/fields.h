// Fields: an ordered list of named byte strings with one unambiguous encoding. Keys and metadata are made of it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sprue {

struct Field {
  std::string name;
  std::string value;
  bool operator==(const Field&) const = default;
};

using Fields = std::vector<Field>;

/// Every name and value is preceded by its length (u32, little endian), so no two lists have one encoding.
std::string encode(const Fields& fields);
/// The inverse; nothing if the bytes are not exactly one encoded list.
std::optional<Fields> decode_fields(std::string_view bytes);
/// The value of the first field with that name, or nullptr.
const std::string* find(const Fields& fields, std::string_view name);

}  // namespace sprue
