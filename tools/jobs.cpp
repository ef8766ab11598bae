#include "jobs.h"

#include <nlohmann/json.hpp>

#include "spec_arguments.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

std::string one_line(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

std::string encode(const Job& job) {
  return one_line({{"kernel", job.spec.kernel},
                   {"problem", to_json(job.spec.problem)},
                   {"schedule", to_json(job.spec.schedule)},
                   {"architecture", job.arch.name()}});
}

Job decode_job(const std::string& line) {
  const ordered_json json = ordered_json::parse(line);
  return {.spec = {.kernel = json.at("kernel"),
                   .problem = values_from_json(json.at("problem")),
                   .schedule = values_from_json(json.at("schedule"))},
          .arch = architecture(json.at("architecture").get<std::string>())};
}

std::string encode(const JobResult& result) {
  const Resources& resources = result.resources;
  return one_line({{"origin", result.origin},
                   {"entry", result.entry_name},
                   {"compile_ms", result.compile_ms},
                   {"registers", resources.registers},
                   {"spill_bytes", resources.spill_bytes},
                   {"stack_bytes", resources.stack_bytes},
                   {"static_shared_bytes", resources.static_shared_bytes},
                   {"advisories", resources.advisories},
                   {"error", result.error},
                   {"exit_code", result.exit_code},
                   {"log", result.log}});
}

JobResult decode_result(const std::string& line) {
  const ordered_json json = ordered_json::parse(line);
  return {.origin = json.at("origin"),
          .entry_name = json.at("entry"),
          .compile_ms = json.at("compile_ms"),
          .resources = {.registers = json.at("registers"),
                        .spill_bytes = json.at("spill_bytes"),
                        .stack_bytes = json.at("stack_bytes"),
                        .static_shared_bytes = json.at("static_shared_bytes"),
                        .advisories = json.at("advisories")},
          .error = json.at("error"),
          .exit_code = json.at("exit_code"),
          .log = json.at("log")};
}

}  // namespace sprue::tools
