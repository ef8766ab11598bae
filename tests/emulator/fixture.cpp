#include "emulator/fixture.h"

#include "core/architecture.h"

namespace emulator::test {
namespace {

std::string ptx_of(const std::string& cuda) {
  static const sprue::compiler::Compiler compiler = [] {
    if (const char* real = std::getenv("SPRUE_NVRTC")) setenv("SPRUE_EMULATED_NVRTC", real, 0);
    return sprue::compiler::Compiler({.nvrtc = EMULATED_NVRTC});
  }();
  const std::string types =
      "typedef unsigned short u16; typedef unsigned u32; typedef unsigned long long u64; typedef float "
      "f32;\n";
  const sprue::Source source = {{"kernel", {}, {}}, types + cuda, {}};
  return compiler.compile(source, sprue::architecture("sm_90a")).image;
}

}  // namespace

Kernel::Kernel(const std::string& cuda) {
  const Module module = parse(ptx_of(cuda));
  program_ = decode(module.functions.at(0), module, {},
                    std::make_shared<const std::vector<std::string>>(module.lines));
}

void Kernel::run(const Shape& shape, const void* params, std::size_t bytes) const {
  Launch launch;
  launch.program = &program_;
  launch.grid[0] = shape.blocks;
  launch.block[0] = shape.threads;
  launch.cluster[0] = shape.cluster;
  launch.shared_bytes = shape.shared_bytes;
  launch.seed = shape.seed;
  launch.params.resize(program_.param_bytes);
  REQUIRE(program_.param_bytes == bytes);
  std::memcpy(launch.params.data(), params, bytes);
  emulator::run(launch);
}

}  // namespace emulator::test
