// Entry: one compiled kernel on disk, as one checksummed blob. Files and bytes only; knows no CUDA.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/digest.h"
#include "core/fields.h"

namespace sprue::cache {

/// Identity on two levels. `request` is what was asked for (source text, options, architecture); `toolchain`
/// is which compiler answered. A machine with a compiler uses exact matches only; one without may use any
/// toolchain's answer.
struct Key {
  Digest request;
  std::string toolchain;     ///< The compiler's build id: lower-case hexadecimal, 8 to 64 digits.
  std::string name() const;  ///< "<64 hex digits>-<toolchain>": the stem of the entry's file name.
  /// The inverse of name(); nothing for any other text.
  static std::optional<Key> from_name(std::string_view name);
  auto operator<=>(const Key&) const = default;
};

/// Everything needed to load, explain and reproduce one kernel.
struct Entry {
  Key key;
  Fields record;      ///< What the request digest was computed from; `explain` compares these field by field.
  Fields metadata;    ///< Entry point, registers, spills, shared memory, compile time, producer.
  std::string image;  ///< The cubin.
  std::string source;        ///< The rendered text; may be empty.
  std::int64_t created = 0;  ///< Seconds since 1970; Store::insert fills it in where it is 0.
  bool operator==(const Entry&) const = default;
};

/// The request digest of a record: SHA-256 of its encoding behind the format's version.
Digest request_digest(const Fields& record);

/// Header (magic, format, section table), sections, SHA-256 over everything before it. ArgumentError if the
/// record does not give the key or the toolchain is not a build id.
std::string encode(const Entry& entry);
/// The inverse. Nothing, and `why` filled, if the bytes are not exactly one intact entry whose record gives
/// its key.
std::optional<Entry> decode_entry(std::string_view bytes, std::string* why = nullptr);

}  // namespace sprue::cache
