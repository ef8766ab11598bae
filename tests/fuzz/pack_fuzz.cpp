// Feeds bytes to the reader of packs: its index, and every entry that the index names.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cache/bytes.h"
#include "cache/pack.h"
#include "sprue/error.h"

namespace {

void open_pack(const std::string& bytes) {
  const sprue::cache::Descriptor file(::memfd_create("pack", 0));
  if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
  try {
    const sprue::cache::Pack pack("/proc/self/fd/" + std::to_string(file.get()));
    for (const sprue::cache::Key& key : pack.keys()) {
      const auto entry = pack.find(key);
      if (entry && entry->key != key) std::abort();
    }
  } catch (const sprue::CacheError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  open_pack(bytes);
  // Again with an index whose checksum is right, or the reader would never see damage behind it.
  if (size < 16) return 0;
  const std::size_t body = 16 + 112 * sprue::cache::get(bytes, 12, 4);
  if (body + 32 > size) return 0;
  const std::string digest(sprue::cache::view(sprue::sha256(std::string_view(bytes).substr(0, body))));
  bytes.replace(body, digest.size(), digest);
  open_pack(bytes);
  return 0;
}
