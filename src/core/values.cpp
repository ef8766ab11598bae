#include "core/values.h"

namespace sprue {

std::string print(const Value& value) {
  if (const bool* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const std::int64_t* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  return std::get<std::string>(value);
}

std::string print(const Values& values) {
  std::string text;
  for (const auto& [name, value] : values) {
    if (!text.empty()) text += ' ';
    text += name + '=' + print(value);
  }
  return text;
}

std::string print(const KernelSpec& spec) {
  std::string text = spec.kernel;
  if (!spec.problem.empty()) text += ' ' + print(spec.problem);
  if (!spec.schedule.empty()) text += " | " + print(spec.schedule);
  return text;
}

}  // namespace sprue
