#include "commands/run_options.h"

#include <fmt/format.h>

#include <optional>

#include "bench/cases.h"
#include "bench/replay.h"
#include "driver/stream.h"
#include "sprue/error.h"

namespace sprue::tools {

void add_common_options(CLI::App& command, CommonRunOptions& options, const std::string& random_help) {
  command.add_option("--dtype", options.dtype,
                     "Convert the input to f32, f16 or bf16; the type of --random (bf16)");
  options.random_option = command.add_option("--random", options.random, random_help)->expected(0, 1);
  command.add_option("--seed", options.seed, "Of the random input (1)");
  command.add_flag("--check", options.check,
                   "Compare with a double-precision reference on the CPU; exit code 8 if it differs");
  command.add_flag("--json", options.json, "Report as JSON");
  add_runtime_options(command);
}

std::vector<std::int64_t> parse_extents(const std::string& text, std::size_t rank, const char* meaning) {
  std::vector<std::int64_t> extents;
  bool good = true;
  for (std::size_t start = 0; good && start <= text.size();) {
    const std::size_t end = std::min(text.find('x', start), text.size());
    const std::string digits = text.substr(start, end - start);
    good =
        !digits.empty() && digits.size() < 12 && digits.find_first_not_of("0123456789") == std::string::npos;
    if (good) extents.push_back(std::stoll(digits));
    start = end + 1;
  }
  if (!good || extents.size() != rank) {
    throw ArgumentError(fmt::format("--random must be written {}, but is '{}'", meaning, text));
  }
  return extents;
}

HostTensor read_input(const std::string& flag, const std::string& file, const CommonRunOptions& options) {
  if (file.empty())
    throw ArgumentError(fmt::format("{} must name a .npy file, unless --random is given", flag));
  const auto wanted = options.dtype.empty() ? std::nullopt : std::optional(parse_dtype(options.dtype));
  return read_npy(file, wanted);
}

void require_rank(const std::string& flag, const HostTensor& tensor, std::size_t rank, const char* layout) {
  if (tensor.shape.size() == rank) return;
  throw ArgumentError(
      fmt::format("{} must have {} dimensions {}, but has {}", flag, rank, layout, tensor.shape.size()));
}

double median_us(const std::function<void(Stream)>& launch) {
  const driver::StreamHandle stream;
  return Replay(stream, [&](Stream s, int) { launch(s); }).median_us(0.2);
}

void write_output(Operand& operand, const std::string& file, RunReport& report) {
  if (file.empty()) return;
  write_npy(file, operand.read_back());
  report.written.push_back(file);
}

}  // namespace sprue::tools
