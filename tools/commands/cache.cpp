// sprue cache: path, ls, show and verify, which only read; cache_changes.cpp has the others.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "commands/cache_changes.h"
#include "entries.h"
#include "exit_codes.h"
#include "output.h"
#include "table.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

struct CacheOptions {
  bool json = false, source = false;
  std::string name, cubin;
};

/// "rms_norm HIDDEN=4096 ...", without the schedule, which `show` tells.
std::string problem_of(const cache::Listed& listed) {
  const std::string spec = field_of(listed, "spec");
  return spec.substr(0, spec.find(" | "));
}

int run_path() {
  put(cache_path().string() + '\n');
  return 0;
}

int run_ls(const CacheOptions& options) {
  const auto entries = entries_of(cache_path());
  if (options.json) {
    ordered_json json = ordered_json::array();
    for (const cache::Listed& listed : entries) json.push_back(to_json(listed));
    put_json(json);
    return 0;
  }
  Table table({{"name"}, {"arch"}, {"size", Column::right}, {"last used"}, {"problem"}});
  std::uint64_t bytes = 0;
  for (const cache::Listed& listed : entries) {
    bytes += listed.bytes;
    table.add({short_name(listed.key), field_of(listed, "architecture"), size_text(listed.bytes),
               time_text(listed.used), listed.intact ? problem_of(listed) : "damaged: " + listed.problem});
  }
  put(table.print(text_width()));
  put(fmt::format("{} entries, {}\n", entries.size(), size_text(bytes)));
  return 0;
}

void print_fields(const char* title, const Fields& fields) {
  put(fmt::format("{}\n", title));
  for (const Field& field : fields) {
    const bool text = field.name == "source";
    const auto lines = std::count(field.value.begin(), field.value.end(), '\n');
    const std::string value = text ? fmt::format("{} lines; --source prints them", lines) : field.value;
    std::string name = field.name;
    for (const std::string& line :
         wrap(value.empty() ? "-" : value, static_cast<std::size_t>(text_width()) - 24)) {
      put(fmt::format("  {:<20}  {}\n", name, line));
      name.clear();
    }
  }
}

int run_show(const CacheOptions& options) {
  const auto entries = entries_of(cache_path());
  const cache::Listed& listed = only_entry(entries, options.name);
  const cache::Entry entry = load(listed);
  if (!options.cubin.empty()) write_file(options.cubin, entry.image);
  if (options.json) {
    ordered_json json = to_json(listed);
    if (options.source) json["source"] = source_of(entry);
    put_json(json);
  } else if (options.source) {
    put(source_of(entry));
  } else if (options.cubin != "-") {
    put(fmt::format("{}\n  file: {}, {}, last used {}\n", entry.key.name(), listed.file.string(),
                    size_text(listed.bytes), time_text(listed.used)));
    print_fields("Key record: what makes this entry another one", entry.record);
    print_fields("Metadata", entry.metadata);
  }
  return 0;
}

int run_verify(const CacheOptions& options) {
  const auto entries = entries_of(cache_path());
  ordered_json damaged = ordered_json::array();
  for (const cache::Listed& listed : entries) {
    if (listed.intact) continue;
    damaged.push_back(
        {{"name", listed.key.name()}, {"file", listed.file.string()}, {"problem", listed.problem}});
    if (!options.json) put(fmt::format("{}: {}\n", listed.file.string(), listed.problem));
  }
  if (options.json) {
    put_json(ordered_json{{"entries", entries.size()}, {"damaged", damaged}});
  } else {
    put(fmt::format(
        "{} entries, {} damaged{}\n", entries.size(), damaged.size(),
        damaged.empty() ? "" : "; they count as absent and are compiled again when they are needed"));
  }
  return damaged.empty() ? kOk : kCache;
}

}  // namespace

void setup_cache(CLI::App& app) {
  CLI::App& group = add_command(
      app, "cache", "Look into the kernel cache and maintain it",
      "  sprue cache ls\n"
      "  sprue cache show 3f9a0c --source\n"
      "  sprue cache verify --cache kernels.pack\n"
      "  sprue cache gc --limit 512M\n"
      "An entry is named by the first digits of its name. --cache takes a directory or a pack.\n");
  group.require_subcommand(1);
  const auto options = std::make_shared<CacheOptions>();

  CLI::App& path = add_command(group, "path", "Print where the cache is", "  du -sh $(sprue cache path)\n");
  on_run(path, run_path);

  CLI::App& ls =
      add_command(group, "ls", "List every entry", "  sprue cache ls --json | jq '.[].metadata.registers'\n");
  ls.add_flag("--json", options->json, "Print JSON");
  on_run(ls, [options] { return run_ls(*options); });

  CLI::App& show =
      add_command(group, "show", "Show one entry",
                  "  sprue cache show 3f9a0c\n"
                  "  sprue cache show 3f9a0c --source > kernel.cu\n"
                  "  sprue cache show 3f9a0c --cubin kernel.cubin && cuobjdump -sass kernel.cubin\n");
  show.add_option("NAME", options->name, "The first digits of the entry's name")->type_name("")->required();
  show.add_flag("--source", options->source, "Print the rendered source");
  show.add_option("--cubin", options->cubin, "Write the machine code to FILE")->type_name("FILE");
  show.add_flag("--json", options->json, "Print JSON");
  on_run(show, [options] { return run_show(*options); });

  CLI::App& verify = add_command(group, "verify", "Check every byte; exit code 6 if an entry is damaged",
                                 "  sprue cache verify --cache kernels.pack\n");
  verify.add_flag("--json", options->json, "Print JSON");
  on_run(verify, [options] { return run_verify(*options); });

  setup_cache_changes(group);
  for (CLI::App* command : group.get_subcommands({})) add_cache_option(*command);
}

}  // namespace sprue::tools
