#include "commands/prewarm_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "spec_arguments.h"
#include "table.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

bool is_suspect(const JobResult& result) {
  return result.resources.spill_bytes > 0 || !result.resources.advisories.empty();
}

std::string label(const PrewarmItem& item) {
  return fmt::format("{} {} {}", item.job.spec.kernel, item.job.arch.name(), item.problem);
}

std::string status(const PrewarmItem& item) {
  if (!item.result) return "not reached";
  if (!item.result->error.empty()) return "failed";
  return item.result->origin == "compiled" ? "compiled" : "cached";
}

ordered_json to_json(const PrewarmItem& item) {
  ordered_json json{{"kernel", item.job.spec.kernel},
                    {"problem", tools::to_json(item.job.spec.problem)},
                    {"schedule", tools::to_json(item.job.spec.schedule)},
                    {"architecture", item.job.arch.name()},
                    {"status", status(item)}};
  if (!item.result) return json;
  const JobResult& result = *item.result;
  if (!result.error.empty()) {
    json.update({{"error", result.error}, {"exit_code", result.exit_code}});
    return json;
  }
  json.update({{"origin", result.origin},
               {"entry", result.entry_name},
               {"compile_ms", result.compile_ms},
               {"registers", result.resources.registers},
               {"spill_bytes", result.resources.spill_bytes},
               {"shared_bytes", item.shared_bytes},
               {"static_shared_bytes", result.resources.static_shared_bytes},
               {"advisories", result.resources.advisories}});
  return json;
}

const std::vector<Column> kColumns = {
    {"arch"},
    {"status"},
    {"ms", Column::right},
    {"regs", Column::right},
    {"spill", Column::right},
    {"shared", Column::right},
    {"problem"},
};

std::vector<std::string> row(const PrewarmItem& item) {
  std::vector<std::string> cells{item.job.arch.name(), status(item)};
  if (item.result && item.result->error.empty()) {
    const Resources& resources = item.result->resources;
    cells.push_back(fmt::format("{:.0f}", item.result->compile_ms));
    cells.push_back(std::to_string(resources.registers));
    cells.push_back(std::to_string(resources.spill_bytes));
    cells.push_back(std::to_string(item.shared_bytes + resources.static_shared_bytes));
  } else {
    cells.insert(cells.end(), 4, "-");
  }
  cells.push_back(item.problem);
  return cells;
}

std::string summary(const PrewarmReport& report) {
  std::map<std::string, int> count;
  double compile_ms = 0;
  for (const PrewarmItem& item : report.items) {
    ++count[status(item)];
    if (item.result && item.result->origin == "compiled") compile_ms += item.result->compile_ms;
  }
  std::string text = fmt::format("{} kernels: {} compiled, {} cached before, {} failed", report.items.size(),
                                 count["compiled"], count["cached"], count["failed"]);
  if (count["not reached"] > 0) text += fmt::format(", {} not reached", count["not reached"]);
  return text + fmt::format("; {:.1f} s with {} workers, {:.1f} s of compiling\n", report.seconds,
                            report.workers, compile_ms / 1e3);
}

}  // namespace

bool PrewarmReport::any_spill() const {
  return std::any_of(items.begin(), items.end(),
                     [](const PrewarmItem& item) { return item.result && is_suspect(*item.result); });
}

int PrewarmReport::failure() const {
  for (const PrewarmItem& item : items) {
    if (item.result && item.result->exit_code != 0) return item.result->exit_code;
  }
  return 0;
}

std::string print_table(const PrewarmReport& report, int width) {
  std::map<std::string, Table> tables;                       // by kernel
  std::map<std::string, std::vector<std::string>> failures;  // one message for all that failed alike
  std::string advisories;
  for (const PrewarmItem& item : report.items) {
    tables.try_emplace(item.job.spec.kernel, kColumns).first->second.add(row(item));
    if (!item.result) continue;
    if (!item.result->error.empty()) failures[item.result->error].push_back(label(item));
    for (const std::string& advisory : item.result->resources.advisories) {
      advisories += fmt::format("advisory: {}\n  {}\n", label(item), advisory);
    }
  }
  std::string text;
  for (const auto& [kernel, table] : tables) text += fmt::format("{}\n{}\n", kernel, table.print(width));
  text += advisories;
  for (const auto& [error, labels] : failures) {
    text += fmt::format("failed: {}\n{}\n\n", fmt::join(labels, "\n        "), error);
  }
  for (const std::string& skipped : report.skipped) text += "skipped: " + skipped + '\n';
  return text + summary(report);
}

std::string print_json(const PrewarmReport& report) {
  ordered_json json{{"kernels", ordered_json::array()},
                    {"skipped", report.skipped},
                    {"workers", report.workers},
                    {"seconds", report.seconds},
                    {"interrupted", report.interrupted}};
  for (const PrewarmItem& item : report.items) json["kernels"].push_back(to_json(item));
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace sprue::tools
