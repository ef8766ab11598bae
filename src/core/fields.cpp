#include "core/fields.h"

#include <cstdint>

namespace sprue {
namespace {

void append(std::string& out, std::string_view text) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(text.size() >> shift & 0xff);
  out += text;
}

bool take(std::string_view& in, std::string& out) {
  if (in.size() < 4) return false;
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])) << 8 * i;
  in.remove_prefix(4);
  if (size > in.size()) return false;
  out.assign(in.substr(0, size));
  in.remove_prefix(size);
  return true;
}

}  // namespace

std::string encode(const Fields& fields) {
  std::string out;
  for (const Field& field : fields) {
    append(out, field.name);
    append(out, field.value);
  }
  return out;
}

std::optional<Fields> decode_fields(std::string_view bytes) {
  Fields fields;
  while (!bytes.empty()) {
    Field field;
    if (!take(bytes, field.name) || !take(bytes, field.value)) return std::nullopt;
    fields.push_back(std::move(field));
  }
  return fields;
}

const std::string* find(const Fields& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.name == name) return &field.value;
  }
  return nullptr;
}

}  // namespace sprue
