// sprue cache gc, clear, export and import.
#include "commands/cache_changes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "cache/pack.h"
#include "command.h"
#include "core/architecture.h"
#include "entries.h"
#include "output.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

namespace fs = std::filesystem;

struct ChangeOptions {
  bool json = false, yes = false;
  std::string pack, kernel, arch, from;
  std::vector<std::string> names;
};

fs::path writable_cache() {
  fs::path path = cache_path();
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    throw ArgumentError(
        fmt::format("the cache must be a directory to be changed, but {} is a file", path.string()));
  }
  return path;
}

int report(const cache::GcResult& result, const ChangeOptions& options) {
  if (options.json) {
    put_json(nlohmann::ordered_json{{"removed_entries", result.removed_entries},
                                    {"removed_bytes", result.removed_bytes},
                                    {"removed_leftovers", result.removed_leftovers},
                                    {"kept_entries", result.kept_entries},
                                    {"kept_bytes", result.kept_bytes}});
  } else {
    put(fmt::format("removed {} entries, {}, and {} leftover files; kept {} entries, {}\n",
                    result.removed_entries, size_text(result.removed_bytes), result.removed_leftovers,
                    result.kept_entries, size_text(result.kept_bytes)));
  }
  return 0;
}

int run_gc(const ChangeOptions& options) {
  const fs::path directory = writable_cache();
  const std::uint64_t limit = runtime_options().cache_limit_bytes;
  if (!fs::exists(directory)) return report({}, options);
  return report(cache::collect(directory, limit == 0 ? std::numeric_limits<std::uint64_t>::max() : limit),
                options);
}

bool confirmed(const fs::path& directory) {
  if (!is_terminal(STDIN_FILENO)) throw ArgumentError("clear must be told --yes where it cannot ask");
  const auto entries = entries_of(directory);
  fmt::print(stderr, "Remove all {} entries of {}? [y/N] ", entries.size(), directory.string());
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

int run_clear(const ChangeOptions& options) {
  const fs::path directory = writable_cache();
  if (!options.yes && !confirmed(directory)) {
    remark("nothing was removed");
    return 0;
  }
  return report(fs::exists(directory) ? cache::collect(directory, 0) : cache::GcResult{}, options);
}

/// "sm_90" wants what is built for sm_90a too: kernels of their own for the very same chips.
bool is_built_for(const std::string& built, const std::string& wanted) {
  const auto arch = parse_architecture(built), asked = parse_architecture(wanted);
  return built == wanted || (arch && asked && asked->suffix == 0 && arch->sm() == asked->sm());
}

bool is_wanted(const cache::Listed& listed, const ChangeOptions& options) {
  const auto is_named_so = [&](const std::string& name) { return is_named(listed.key, name); };
  return (options.kernel.empty() || field_of(listed, "kernel") == options.kernel) &&
         (options.arch.empty() || is_built_for(field_of(listed, "architecture"), options.arch)) &&
         (options.names.empty() || std::any_of(options.names.begin(), options.names.end(), is_named_so));
}

int run_export(const ChangeOptions& options) {
  std::vector<cache::Entry> entries;
  for (const cache::Listed& listed : entries_of(cache_path())) {
    if (!listed.intact) {
      remark(fmt::format("left out: {} is damaged: {}", short_name(listed.key), listed.problem));
    } else if (is_wanted(listed, options)) {
      entries.push_back(load(listed));
    }
  }
  if (entries.empty()) throw ArgumentError("there is no entry to export: nothing in the cache matches");
  const std::size_t count = entries.size();
  cache::write_pack(options.pack, std::move(entries));
  put(fmt::format("wrote {} entries to {}, {}\n", count, options.pack,
                  size_text(fs::file_size(options.pack))));
  return 0;
}

int run_import(const ChangeOptions& options) {
  const RuntimeOptions runtime = runtime_options();
  cache::Store store({.directory = writable_cache(),
                      .read_only = {},
                      .limit_bytes = runtime.cache_limit_bytes,
                      .log = runtime.log});
  if (!fs::exists(options.from))
    throw ArgumentError(fmt::format("there is no pack or directory {}", options.from));
  std::size_t imported = 0, present = 0, damaged = 0;
  for (const cache::Listed& listed : cache::list(options.from)) {
    if (!listed.intact) {
      ++damaged;
      remark(fmt::format("left out: {} is damaged: {}", short_name(listed.key), listed.problem));
    } else if (store.find(listed.key)) {
      ++present;
    } else if (store.insert(load(listed))) {
      ++imported;
    } else {
      throw CacheError(fmt::format("{} cannot be written; see `sprue doctor`", writable_cache().string()));
    }
  }
  put(fmt::format("imported {} entries; {} were there already, {} are damaged\n", imported, present,
                  damaged));
  return 0;
}

}  // namespace

void setup_cache_changes(CLI::App& group) {
  const auto options = std::make_shared<ChangeOptions>();

  CLI::App& gc =
      add_command(group, "gc", "Remove the least recently used entries and what killed writers left",
                  "  sprue cache gc --limit 512M\n");
  gc.add_option_function<std::string>(
        "--limit", [](const std::string& limit) { setenv("SPRUE_CACHE_LIMIT", limit.c_str(), 1); },
        "Bytes to keep, such as 512M or 2G; 0: all (SPRUE_CACHE_LIMIT; default 1G)")
      ->type_name("BYTES");
  gc.add_flag("--json", options->json, "Print JSON");
  on_run(gc, [options] { return run_gc(*options); });

  CLI::App& clear =
      add_command(group, "clear", "Remove every entry; other files stay", "  sprue cache clear --yes\n");
  clear.add_flag("--yes", options->yes, "Do not ask");
  clear.add_flag("--json", options->json, "Print JSON");
  on_run(clear, [options] { return run_clear(*options); });

  CLI::App& exporting =
      add_command(group, "export", "Write entries to one read-only file for images and fleets",
                  "  sprue cache export --pack kernels.pack --arch sm_90\n"
                  "  SPRUE_CACHE_READONLY=kernels.pack ./server\n");
  exporting.add_option("NAME", options->names, "Only entries whose names start so")->type_name("");
  exporting.add_option("--pack", options->pack, "The FILE to write")->type_name("FILE")->required();
  exporting.add_option("--kernel", options->kernel, "Only entries of this kernel")->type_name("KERNEL");
  exporting.add_option("--arch", options->arch, "Only entries for this architecture")->type_name("ARCH");
  on_run(exporting, [options] { return run_export(*options); });

  CLI::App& importing =
      add_command(group, "import", "Add the entries of a pack or of another cache directory",
                  "  sprue cache import kernels.pack\n");
  importing.add_option("FROM", options->from, "A pack or a cache directory")->type_name("")->required();
  on_run(importing, [options] { return run_import(*options); });
}

}  // namespace sprue::tools
