// Feeds bytes to the readers of JSON: kernel manifests, tuned schedules and prewarm manifests. What is
// accepted is used.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "codegen/manifest.h"
#include "codegen/prewarm_manifest.h"
#include "codegen/tuned.h"
#include "sprue/error.h"

namespace {

using namespace sprue;

template <class Use>
void refuse_or(const Use& use) {
  try {
    use();
  } catch (const TemplateError&) {
  } catch (const ArgumentError&) {
  }
}

void use_manifest(const codegen::Manifest& manifest) {
  const Architecture arch = architecture(manifest.architectures.front());
  Values problem;
  for (const codegen::Parameter& parameter : manifest.problem) {
    problem[parameter.name] = parameter.values.empty() ? Value(parameter.minimum) : parameter.values.front();
  }
  std::size_t schedules = 1;
  for (const codegen::Parameter& parameter : manifest.schedule)
    schedules = std::min<std::size_t>(1000, schedules * parameter.values.size());
  codegen::launch_shape(manifest, codegen::complete_spec(manifest, problem, {}, arch));
  if (schedules < 1000) codegen::legal_schedules(manifest, problem, arch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  refuse_or([&] { use_manifest(codegen::parse_manifest("fuzz/scale.json", text)); });
  refuse_or([&] {
    const auto rows = codegen::parse_tuned("tuned.json", text);
    if (codegen::parse_tuned("tuned.json", codegen::print_tuned(rows)).size() != rows.size())
      __builtin_trap();
  });
  refuse_or([&] {
    const auto entries = codegen::parse_prewarm("prewarm.json", text);
    if (entries.size() < 1000 &&
        codegen::parse_prewarm("prewarm.json", codegen::print_prewarm(entries)) != entries) {
      __builtin_trap();
    }
  });
  return 0;
}
