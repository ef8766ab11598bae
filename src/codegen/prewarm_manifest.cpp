// Prewarm manifests: reading, with the product of arrays, and appending.
#include "codegen/prewarm_manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/json.h"
#include "codegen/text_file.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

constexpr std::size_t kMaxEntries = 16384;

/// Every choice of one element of each array: {"A": [1, 2], "B": 3} gives A=1 B=3 and A=2 B=3.
std::vector<Values> product(const Json& json) {
  std::vector<Values> all(1);
  for (const Json& member : json.as_object()) {
    if (member.kind != Json::Kind::array) {
      for (Values& values : all) values[member.key] = member.as_value();
      continue;
    }
    if (member.items.empty()) member.fail(fmt::format("{} must have at least one value", member.key));
    if (member.items.size() > kMaxEntries / all.size()) {
      member.fail(fmt::format("this makes more than {} kernels", kMaxEntries));
    }
    std::vector<Values> next;
    for (const Values& values : all) {
      for (const Json& choice : member.items) {
        next.push_back(values);
        next.back()[member.key] = choice.as_value();
      }
    }
    all = std::move(next);
  }
  return all;
}

std::vector<PrewarmEntry> expand(const Json& json) {
  std::vector<PrewarmEntry> entries;
  for (const Json& item : json.with_keys({"kernels"}).at("kernels").as_array()) {
    item.with_keys({"kernel", "problem", "schedule", "architectures"});
    PrewarmEntry entry;
    entry.kernel = item.at("kernel").as_string();
    if (const Json* architectures = item.find("architectures"))
      entry.architectures = architectures->as_architectures();
    const std::vector<Values> problems = product(item.at("problem"));
    const Json* schedule = item.find("schedule");
    const std::vector<Values> schedules = schedule == nullptr ? std::vector<Values>(1) : product(*schedule);
    if (entries.size() + problems.size() * schedules.size() > kMaxEntries) {
      item.fail(fmt::format("a manifest may list at most {} kernels; this entry exceeds that", kMaxEntries));
    }
    for (const Values& problem : problems) {
      for (const Values& values : schedules) {
        entry.problem = problem;
        entry.schedule = values;
        entries.push_back(entry);
      }
    }
  }
  return entries;
}

Json to_json(const PrewarmEntry& entry) {
  Json json = Json::of(Json::Kind::object);
  json.add("kernel", Json::of(entry.kernel)).add("problem", Json(entry.problem));
  if (!entry.schedule.empty()) json.add("schedule", Json(entry.schedule));
  if (!entry.architectures.empty()) json.add("architectures", Json(entry.architectures));
  return json;
}

}  // namespace

std::vector<PrewarmEntry> parse_prewarm(std::string_view path, std::string_view text) {
  return expand(parse_json(path, text));
}

std::vector<PrewarmEntry> read_prewarm(const std::filesystem::path& file) {
  const auto text = read_text_file(file);
  if (!text) throw ArgumentError(fmt::format("the prewarm manifest {} does not exist", file.string()));
  return parse_prewarm(file.string(), *text);
}

std::string print_prewarm(const std::vector<PrewarmEntry>& entries) {
  Json list = Json::of(Json::Kind::array);
  for (const PrewarmEntry& entry : entries) list.items.push_back(to_json(entry));
  return print_json(Json::of(Json::Kind::object).add("kernels", std::move(list)));
}

bool append_prewarm(const std::filesystem::path& file, const PrewarmEntry& entry) {
  const DirectoryLock lock(file);
  const auto text = read_text_file(file);
  Json json = parse_json(file.string(), text ? *text : print_prewarm({}));
  const std::vector<PrewarmEntry> entries = expand(json);
  if (std::find(entries.begin(), entries.end(), entry) != entries.end()) return false;
  json.items.front().items.push_back(to_json(entry));
  write_text_file(file, print_json(json));
  return true;
}

}  // namespace sprue::codegen
