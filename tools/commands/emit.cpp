// sprue emit: the rendered source of a kernel, and on request its machine code.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "command.h"
#include "output.h"
#include "runtime/runtime_impl.h"
#include "spec_arguments.h"

namespace sprue::tools {
namespace {

struct EmitOptions {
  std::string kernel;
  std::vector<std::string> values;
  std::string arch, output = "-", cubin;
  bool log = false;
};

std::string resources_line(const KernelSpec& spec, const Architecture& arch, const Cubin& cubin) {
  const Resources& r = cubin.resources;
  std::string text = fmt::format(
      "{} {}: {} registers, {} bytes of spills, {} bytes of stack, {} bytes of static "
      "shared memory, compiled in {:.0f} ms",
      spec.kernel, arch.name(), r.registers, r.spill_bytes, r.stack_bytes, r.static_shared_bytes,
      cubin.compile_ms);
  for (const std::string& advisory : r.advisories) text += "\n" + advisory;
  return text;
}

int run(const EmitOptions& options) {
  RuntimeImpl runtime(runtime_options());
  const codegen::Manifest& manifest = runtime.manifest(options.kernel);
  const Request request = parse_request(manifest, options.values);
  const Architecture arch = runtime.target(manifest, chosen_architecture(options.arch));
  const Source source = runtime.render(runtime.specify(request, arch));
  write_file(options.output, source.text);

  if (options.cubin.empty() && !options.log) return 0;
  // The log is not kept in the cache, so it takes a compile of its own.
  const Cubin cubin = options.log ? runtime.toolchain().compiler().compile(source, arch)
                                  : runtime.build(source.spec, arch).cubin;
  if (options.log) remark(cubin.log);
  remark(resources_line(source.spec, arch, cubin));
  if (!options.cubin.empty()) write_file(options.cubin, cubin.image);
  return 0;
}

}  // namespace

void setup_emit(CLI::App& app) {
  CLI::App& command =
      add_command(app, "emit", "Print or save a kernel's CUDA source, and its cubin",
                  "  sprue emit rms_norm SCALAR=bf16 HIDDEN=4096 HAS_WEIGHT=true --arch sm_80\n"
                  "  sprue emit attention_portable SCALAR=f16 HEAD_DIM=128 HEAD_DIM_V=128 BLOCK_N=32 \\\n"
                  "      --arch sm_90 -o attention.cu --cubin attention.cubin --log\n"
                  "The source is complete: nvcc -arch=sm_90 -cubin attention.cu compiles it, too.\n");
  const auto options = std::make_shared<EmitOptions>();
  command.add_option("KERNEL", options->kernel, "A kernel that `sprue list` names")
      ->type_name("")
      ->required();
  command
      .add_option("PARAMETERS", options->values,
                  "NAME=VALUE ...: its problem, and its schedule where it should differ")
      ->type_name("");
  command.add_option("--arch", options->arch, "GPU architecture, such as sm_90; default: this machine's GPU")
      ->type_name("ARCH");
  command.add_option("-o,--output", options->output, "Write the source here instead of to standard output")
      ->type_name("FILE");
  command.add_option("--cubin", options->cubin, "Compile, and write the machine code here")
      ->type_name("FILE");
  command.add_flag("--log", options->log, "Compile, and print the compiler's log to standard error");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
