// Cache entries as the command line names and shows them.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.h"

namespace sprue::tools {

/// What --cache, SPRUE_CACHE_DIR or the default names: a directory, or a pack. ArgumentError if there is no
/// default.
std::filesystem::path cache_path();

/// Every entry; none when there is no directory yet. CacheError if the tier cannot be read.
std::vector<cache::Listed> entries_of(const std::filesystem::path& tier);

/// "0123456789ab-fedcba98": enough of a name to be given to other commands.
std::string short_name(const cache::Key& key);
/// Whether `name`, DIGITS or DIGITS-DIGITS, is the beginning of the request and of the toolchain.
bool is_named(const cache::Key& key, std::string_view name);
/// The one entry of that name. ArgumentError if there is none, or more than one.
const cache::Listed& only_entry(const std::vector<cache::Listed>& entries, const std::string& name);

/// Read again from its file. CacheError if it is damaged.
cache::Entry load(const cache::Listed& listed);
/// The rendered text, or nothing if it was not kept.
std::string_view source_of(const cache::Entry& entry);

/// A field of the metadata or the record, or "-".
std::string field_of(const cache::Listed& listed, std::string_view name);
nlohmann::ordered_json to_json(const cache::Listed& listed);

}  // namespace sprue::tools
