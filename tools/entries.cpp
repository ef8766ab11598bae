#include "entries.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cache/pack.h"
#include "command.h"
#include "output.h"
#include "runtime/options.h"
#include "sprue/error.h"

namespace sprue::tools {

namespace fs = std::filesystem;

fs::path cache_path() {
  const fs::path given = runtime_options().cache_directory;
  const fs::path path = given.empty() ? default_cache_directory() : given;
  if (path.empty()) {
    throw ArgumentError(
        "there is no cache directory: neither XDG_CACHE_HOME nor HOME is set; give --cache DIR");
  }
  return path;
}

std::vector<cache::Listed> entries_of(const fs::path& tier) {
  std::error_code error;
  if (fs::exists(tier, error)) return cache::list(tier);
  remark(fmt::format("{} does not exist yet", tier.string()));
  return {};
}

std::string short_name(const cache::Key& key) {
  return key.request.hex().substr(0, 12) + '-' + key.toolchain.substr(0, 8);
}

bool is_named(const cache::Key& key, std::string_view name) {
  const std::size_t dash = name.find('-');
  return key.request.hex().starts_with(name.substr(0, dash)) &&
         (dash == std::string_view::npos || key.toolchain.starts_with(name.substr(dash + 1)));
}

const cache::Listed& only_entry(const std::vector<cache::Listed>& entries, const std::string& name) {
  std::vector<const cache::Listed*> found;
  for (const cache::Listed& listed : entries) {
    if (is_named(listed.key, name)) found.push_back(&listed);
  }
  if (found.empty()) {
    throw ArgumentError(fmt::format("there is no entry '{}' among the {} of the cache; see `sprue cache ls`",
                                    name, entries.size()));
  }
  if (found.size() > 1) {
    throw ArgumentError(fmt::format("'{}' must name one entry, but {} start so, such as {} and {}", name,
                                    found.size(), short_name(found[0]->key), short_name(found[1]->key)));
  }
  return *found.front();
}

cache::Entry load(const cache::Listed& listed) {
  std::string problem = listed.problem;
  std::error_code error;
  const bool packed = listed.file.extension() != ".sprue";
  auto entry = packed ? cache::Pack(listed.file).find(listed.key, &problem)
                      : cache::decode_entry(read_file(listed.file), &problem);
  if (!entry) throw CacheError(fmt::format("{} is damaged: {}", listed.file.string(), problem));
  return *std::move(entry);
}

std::string_view source_of(const cache::Entry& entry) {
  if (!entry.source.empty()) return entry.source;
  const std::string* text = find(entry.record, "source");
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::string field_of(const cache::Listed& listed, std::string_view name) {
  for (const Fields* fields : {&listed.metadata, &listed.record}) {
    if (const std::string* value = find(*fields, name)) return *value;
  }
  return "-";
}

nlohmann::ordered_json to_json(const cache::Listed& listed) {
  nlohmann::ordered_json json{{"name", listed.key.name()},
                              {"file", listed.file.string()},
                              {"bytes", listed.bytes},
                              {"used", std::chrono::system_clock::to_time_t(listed.used)},
                              {"intact", listed.intact}};
  if (!listed.intact) json["problem"] = listed.problem;
  for (const Field& field : listed.metadata) json["metadata"][field.name] = field.value;
  for (const Field& field : listed.record) {
    if (field.name != "source") json["record"][field.name] = field.value;
  }
  return json;
}

}  // namespace sprue::tools
