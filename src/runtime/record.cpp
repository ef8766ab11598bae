// Key records and metadata of cache entries.
#include "runtime/record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <string_view>

#include "compiler/compiler.h"
#include "sprue/version.h"

namespace sprue {
namespace {

int integer(const Fields& fields, std::string_view name) {
  const std::string* text = find(fields, name);
  int number = 0;
  if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

std::vector<std::string> lines(const std::string* text) {
  std::vector<std::string> result;
  if (text == nullptr) return result;
  for (std::size_t start = 0; start < text->size();) {
    const std::size_t end = std::min(text->find('\n', start), text->size());
    result.push_back(text->substr(start, end - start));
    start = end + 1;
  }
  return result;
}

}  // namespace

Fields key_record(const Source& source, const Architecture& arch) {
  return {
      {"schema", "1"},
      {"kernel", source.spec.kernel},
      {"architecture", arch.name()},
      {"options", fmt::format("{}", fmt::join(compiler::compile_options(arch), " "))},
      {"source", source.text},
  };
}

Fields metadata(const Source& source, const Cubin& cubin, const Architecture& arch,
                const std::string& nvrtc) {
  const Resources& resources = cubin.resources;
  return {
      {"entry_point", source.spec.kernel},
      {"spec", print(source.spec)},
      {"architecture", arch.name()},
      {"threads", std::to_string(source.launch.threads)},
      {"shared_bytes", std::to_string(source.launch.shared_bytes)},
      {"rows_per_block", std::to_string(source.launch.rows_per_block)},
      {"blocks_per_row", std::to_string(source.launch.blocks_per_row)},
      {"columns_per_tile", std::to_string(source.launch.columns_per_tile)},
      {"walks", source.launch.walks ? "true" : "false"},
      {"programmatic", source.launch.programmatic ? "true" : "false"},
      {"registers", std::to_string(resources.registers)},
      {"spill_bytes", std::to_string(resources.spill_bytes)},
      {"stack_bytes", std::to_string(resources.stack_bytes)},
      {"static_shared_bytes", std::to_string(resources.static_shared_bytes)},
      {"advisories", fmt::format("{}", fmt::join(resources.advisories, "\n"))},
      {"compile_us", fmt::format("{:.0f}", 1e3 * cubin.compile_ms)},
      {"nvrtc", nvrtc},
      {"sprue", SPRUE_VERSION},
  };
}

Cubin cubin_of(std::string image, const Fields& metadata) {
  Cubin cubin;
  cubin.image = std::move(image);
  cubin.resources.registers = integer(metadata, "registers");
  cubin.resources.spill_bytes = integer(metadata, "spill_bytes");
  cubin.resources.stack_bytes = integer(metadata, "stack_bytes");
  cubin.resources.static_shared_bytes = integer(metadata, "static_shared_bytes");
  cubin.resources.advisories = lines(find(metadata, "advisories"));
  cubin.compile_ms = integer(metadata, "compile_us") / 1e3;
  return cubin;
}

}  // namespace sprue
