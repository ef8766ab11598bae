// What the operators of `sprue run` have in common: input from files or at random, timing, output.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "command.h"
#include "commands/run_report.h"
#include "npy.h"
#include "operand.h"

namespace sprue::tools {

struct CommonRunOptions {
  std::string dtype, random;
  const CLI::Option* random_option = nullptr;
  bool check = false, json = false;
  std::uint64_t seed = 1;

  bool is_random() const { return random_option->count() > 0; }
};

/// --dtype, --random, --seed, --check and --json.
void add_common_options(CLI::App& command, CommonRunOptions& options, const std::string& random_help);

/// "2x1024x16x128" → {2, 1024, 16, 128}; ArgumentError that says how --random is written.
std::vector<std::int64_t> parse_extents(const std::string& text, std::size_t rank, const char* meaning);

/// The .npy file that `flag` names, as --dtype wants it.
HostTensor read_input(const std::string& flag, const std::string& file, const CommonRunOptions& options);
void require_rank(const std::string& flag, const HostTensor& tensor, std::size_t rank, const char* layout);

double median_us(const std::function<void(Stream)>& launch);
/// Nothing if `file` is empty.
void write_output(Operand& operand, const std::string& file, RunReport& report);

/// `sprue run attention` and `sprue run rms_norm`.
void setup_run_attention(CLI::App& run);
void setup_run_rms_norm(CLI::App& run);

}  // namespace sprue::tools
