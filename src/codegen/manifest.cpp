// Manifest: its parameters, and finding it in a store.
#include "codegen/manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/suggest.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

bool is_manifest_path(std::string_view path) {
  return path.ends_with(".json") && path.find('/') != std::string_view::npos && !path.starts_with("tuned/");
}

Manifest load(const TemplateStore& store, const std::string& path) {
  Manifest parsed = parse_manifest(path, *store.find(path));
  if (store.find(parsed.template_path()) == nullptr) {
    throw TemplateError(path, 0, 0,
                        fmt::format("there is no template {} beside this manifest", parsed.template_path()));
  }
  return parsed;
}

}  // namespace

bool Parameter::admits(const Value& value) const {
  if (!values.empty()) return std::find(values.begin(), values.end(), value) != values.end();
  const std::int64_t* i = std::get_if<std::int64_t>(&value);
  return i != nullptr && *i >= minimum && *i <= maximum && *i % multiple == 0;
}

std::string Parameter::legal_values() const {
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += (i == 0 ? "" : i + 1 < values.size() ? ", " : " or ") + print(values[i]);
  }
  if (!values.empty()) return text;
  return fmt::format("{} from {} to {}",
                     multiple == 1 ? "an integer" : fmt::format("a multiple of {}", multiple), minimum,
                     maximum);
}

Value Parameter::parse(std::string_view text) const {
  for (const Value& value : values) {
    if (print(value) == text) return value;
  }
  if (values.empty()) {
    std::int64_t number = 0;
    const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
    const bool decimal =
        !digits.empty() && digits.size() <= 18 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    for (const char c : digits) number = decimal ? 10 * number + (c - '0') : 0;
    if (text.starts_with('-')) number = -number;
    if (decimal && admits(number)) return number;
  }
  throw ArgumentError(fmt::format("{} must be {}, but is '{}'", name, legal_values(), text));
}

const Parameter* Manifest::find(std::string_view parameter) const {
  for (const auto* parameters : {&problem, &schedule}) {
    for (const Parameter& p : *parameters) {
      if (p.name == parameter) return &p;
    }
  }
  return nullptr;
}

std::vector<Manifest> manifests(const TemplateStore& store) {
  std::vector<Manifest> found;
  for (const std::string& path : store.paths()) {
    if (is_manifest_path(path)) found.push_back(load(store, path));
  }
  std::sort(found.begin(), found.end(),
            [](const Manifest& a, const Manifest& b) { return a.kernel < b.kernel; });
  for (std::size_t i = 1; i < found.size(); ++i) {
    if (found[i].kernel == found[i - 1].kernel) {
      throw TemplateError(found[i].family + '/' + found[i].kernel + ".json", 0, 0,
                          fmt::format("the kernel {} is also in {}", found[i].kernel, found[i - 1].family));
    }
  }
  return found;
}

Manifest manifest(const TemplateStore& store, std::string_view kernel) {
  std::vector<std::string> known;
  for (const std::string& path : store.paths()) {
    if (!is_manifest_path(path)) continue;
    known.push_back(path.substr(path.rfind('/') + 1));
    known.back().resize(known.back().size() - std::string_view(".json").size());
    if (known.back() == kernel) return load(store, path);
  }
  throw ArgumentError(fmt::format("there is no kernel '{}'{}; the kernels are {}", kernel,
                                  did_you_mean(kernel, known), join(known)));
}

bool admits(const std::vector<std::string>& architectures, const Architecture& arch) {
  return architectures.empty() ||
         std::any_of(architectures.begin(), architectures.end(), [&](const std::string& name) {
           const auto listed = parse_architecture(name);
           return listed && listed->sm() == arch.sm() &&
                  (listed->suffix == 0 || listed->suffix == arch.suffix);
         });
}

}  // namespace sprue::codegen
