// sprue list: the kernels, what may be asked of them, and what each value means.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "codegen/manifest.h"
#include "codegen/suggest.h"
#include "command.h"
#include "output.h"
#include "spec_arguments.h"
#include "table.h"

namespace sprue::tools {
namespace {

using codegen::Manifest;
using codegen::Parameter;
using nlohmann::ordered_json;

struct ListOptions {
  std::string kernel;
  bool json = false;
};

ordered_json describe(const Parameter& parameter) {
  constexpr const char* kinds[] = {"boolean", "integer", "choice"};
  ordered_json json{{"name", parameter.name}, {"kind", kinds[static_cast<int>(parameter.kind)]}};
  if (parameter.values.empty()) {
    json.update({{"min", parameter.minimum}, {"max", parameter.maximum}, {"multiple", parameter.multiple}});
  } else {
    for (const Value& value : parameter.values) json["values"].push_back(to_json(value));
  }
  if (parameter.fallback) json["default"] = to_json(*parameter.fallback);
  json["doc"] = parameter.doc;
  return json;
}

ordered_json describe(const Manifest& manifest) {
  ordered_json json{{"kernel", manifest.kernel},
                    {"operator", manifest.operation},
                    {"summary", manifest.summary},
                    {"architectures", manifest.architectures}};
  for (const Parameter& parameter : manifest.problem) json["problem"].push_back(describe(parameter));
  for (const Parameter& parameter : manifest.schedule) json["schedule"].push_back(describe(parameter));
  for (const codegen::Rule& rule : manifest.rules) {
    json["rules"].push_back({{"rule", rule.condition.text()}, {"reason", rule.reason}});
  }
  for (const codegen::ScheduleRow& row : manifest.defaults) {
    ordered_json& added = json["defaults"].emplace_back(ordered_json::object());
    if (row.when) added["when"] = row.when->text();
    if (!row.architectures.empty()) added["architectures"] = row.architectures;
    added["schedule"] = to_json(row.schedule);
    if (!row.measured.empty()) added["measured"] = row.measured;
  }
  return json;
}

std::string print_parameters(const std::vector<Parameter>& parameters) {
  Table table({{"name"}, {"default"}, {"legal values"}, {"meaning"}});
  for (const Parameter& parameter : parameters) {
    const std::string fallback = parameter.fallback ? print(*parameter.fallback) : "-";
    table.add({parameter.name, fallback, parameter.legal_values(), parameter.doc});
  }
  return table.print(text_width());
}

/// `text` wrapped, its first line behind `mark`.
std::string paragraph(std::string mark, const std::string& text) {
  std::string out;
  for (const std::string& line : wrap(text, static_cast<std::size_t>(text_width()) - 5)) {
    out += fmt::format("{:>3}  {}\n", mark, line);
    mark.clear();
  }
  return out;
}

std::string print_defaults(const Manifest& manifest) {
  std::string text;
  for (std::size_t i = 0; i < manifest.defaults.size(); ++i) {
    const codegen::ScheduleRow& row = manifest.defaults[i];
    std::string when = row.when ? row.when->text() : "otherwise";
    if (!row.architectures.empty()) when += " on " + codegen::join(row.architectures);
    text += paragraph(std::to_string(i + 1), when) + paragraph("", print(row.schedule));
    if (!row.measured.empty()) text += paragraph("", "measured: " + row.measured);
  }
  return text;
}

std::string print_kernel(const Manifest& manifest) {
  std::string text = fmt::format("{} ({}): {}\nBuilt for {}.\n", manifest.kernel, manifest.operation,
                                 manifest.summary, codegen::join(manifest.architectures));
  text += "\nProblem: what is computed; '-' must be given\n" + print_parameters(manifest.problem);
  text += "\nSchedule: how it is computed; changes speed, never the result\n" +
          print_parameters(manifest.schedule);
  text += "\nDefault schedules: the first row that holds\n" + print_defaults(manifest);
  if (!manifest.rules.empty()) text += "\nRules that a spec must satisfy\n";
  for (const codegen::Rule& rule : manifest.rules) {
    text += paragraph("-", rule.reason + ':') + paragraph("", rule.condition.text());
  }
  return text;
}

int run(const ListOptions& options) {
  const codegen::TemplateStore store = template_store(runtime_options());
  const std::vector<Manifest> manifests = options.kernel.empty()
                                              ? codegen::manifests(store)
                                              : std::vector{codegen::manifest(store, options.kernel)};
  if (options.json) {
    ordered_json json = ordered_json::array();
    for (const Manifest& manifest : manifests) json.push_back(describe(manifest));
    put_json(json);
  } else if (!options.kernel.empty()) {
    put(print_kernel(manifests.front()));
  } else {
    Table table({{"kernel"}, {"operator"}, {"summary"}});
    for (const Manifest& manifest : manifests)
      table.add({manifest.kernel, manifest.operation, manifest.summary});
    put(table.print(text_width()));
  }
  return 0;
}

}  // namespace

void setup_list(CLI::App& app) {
  CLI::App& command =
      add_command(app, "list", "List the kernels, or show one kernel's parameters and schedules",
                  "  sprue list\n"
                  "  sprue list attention_portable\n"
                  "  sprue list --json | jq '.[].kernel'\n");
  const auto options = std::make_shared<ListOptions>();
  command.add_option("KERNEL", options->kernel, "The kernel to show")->type_name("");
  command.add_flag("--json", options->json, "Print JSON");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
