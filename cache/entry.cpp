// The entry format. All integers are little endian; nothing lies between or after the parts.
//
//    0   8  magic
//    8   4  format
//   12   4  number of sections
//   16   8  created
//   24  40  the size of each section: name, record, metadata, image, source
//   64      the sections
//       32  SHA-256 of everything before
#include "cache/entry.h"

#include <fmt/format.h>

#include <array>

#include "cache/bytes.h"
#include "sprue/error.h"

namespace sprue::cache {
namespace {

constexpr std::string_view kMagic("\x7fSPRUE\r\n", 8);  // a transfer in text mode spoils it
constexpr std::uint32_t kFormat = 1;  // part of every request digest: two formats never meet under one name
constexpr std::size_t kSections = 5;
constexpr std::size_t kHeaderBytes = 24 + 8 * kSections;
constexpr std::size_t kDigestBytes = 32;

bool is_toolchain(std::string_view text) {
  return text.size() >= 8 && text.size() <= 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

std::string Key::name() const {
  return request.hex() + '-' + toolchain;
}

std::optional<Key> Key::from_name(std::string_view name) {
  if (name.size() < 65 || name[64] != '-' || !is_toolchain(name.substr(65))) return std::nullopt;
  const auto request = Digest::from_hex(name.substr(0, 64));
  if (!request) return std::nullopt;
  return Key{*request, std::string(name.substr(65))};
}

Digest request_digest(const Fields& record) {
  return sha256(fmt::format("sprue request {}\n", kFormat) + sprue::encode(record));
}

std::string encode(const Entry& entry) {
  if (!is_toolchain(entry.key.toolchain)) {
    throw ArgumentError(
        fmt::format("[cache] a toolchain must be 8 to 64 lower-case hexadecimal digits but is \"{}\"",
                    entry.key.toolchain));
  }
  if (const Digest given = request_digest(entry.record); given != entry.key.request) {
    throw ArgumentError(
        fmt::format("[cache] the request of an entry must be its record's digest {} but is {}", given.hex(),
                    entry.key.request.hex()));
  }
  const std::string name = entry.key.name();
  const std::string record = sprue::encode(entry.record), metadata = sprue::encode(entry.metadata);
  const std::array<std::string_view, kSections> sections{name, record, metadata, entry.image, entry.source};

  std::string out;
  std::size_t total = kHeaderBytes + kDigestBytes;
  for (const std::string_view section : sections) total += section.size();
  out.reserve(total);
  out += kMagic;
  put(out, kFormat, 4);
  put(out, kSections, 4);
  put(out, static_cast<std::uint64_t>(entry.created), 8);
  for (const std::string_view section : sections) put(out, section.size(), 8);
  for (const std::string_view section : sections) out += section;
  out += view(sha256(out));
  return out;
}

std::optional<Entry> decode_entry(std::string_view bytes, std::string* why) {
  const auto refuse = [&](std::string reason) {
    if (why) *why = std::move(reason);
    return std::nullopt;
  };
  if (bytes.empty()) return refuse("it is empty");
  if (bytes.size() < kHeaderBytes + kDigestBytes) {
    return refuse(
        fmt::format("it must have at least {} bytes but has {}", kHeaderBytes + kDigestBytes, bytes.size()));
  }
  if (bytes.substr(0, 8) != kMagic) return refuse("it does not start like an entry");
  if (const auto format = get(bytes, 8, 4); format != kFormat) {
    return refuse(fmt::format("its format must be {} but is {}", kFormat, format));
  }
  if (const auto sections = get(bytes, 12, 4); sections != kSections) {
    return refuse(fmt::format("it must have {} sections but has {}", kSections, sections));
  }

  const std::string_view body = bytes.substr(0, bytes.size() - kDigestBytes);
  std::array<std::string_view, kSections> sections;
  std::string_view rest = body.substr(kHeaderBytes);
  for (std::size_t i = 0; i < kSections; ++i) {
    const std::uint64_t size = get(bytes, 24 + 8 * i, 8);
    if (size > rest.size()) return refuse("it is truncated, or its section table is damaged");
    sections[i] = rest.substr(0, size);
    rest.remove_prefix(size);
  }
  if (!rest.empty()) return refuse(fmt::format("{} bytes follow its last section", rest.size()));
  if (view(sha256(body)) != bytes.substr(body.size())) return refuse("its checksum does not match");

  const auto key = Key::from_name(sections[0]);
  if (!key) return refuse("its name is not that of an entry");
  auto record = decode_fields(sections[1]);
  auto metadata = decode_fields(sections[2]);
  if (!record || !metadata) return refuse("its record or metadata is not a list of fields");
  if (request_digest(*record) != key->request) return refuse("its record does not give its name");
  return Entry{*key,
               std::move(*record),
               std::move(*metadata),
               std::string(sections[3]),
               std::string(sections[4]),
               static_cast<std::int64_t>(get(bytes, 16, 8))};
}

}  // namespace sprue::cache
