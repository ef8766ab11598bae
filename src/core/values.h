// The values that pass between the stages: KernelSpec → Source → Cubin → Kernel. Plain data, printable, comparable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/architecture.h"

namespace sprue {

/// One template parameter's value.
using Value = std::variant<bool, std::int64_t, std::string>;

/// Parameter name → value, ordered by name so that equal sets print alike.
using Values = std::map<std::string, Value, std::less<>>;

/// "true", "128", "bf16"
std::string print(const Value& value);
/// "CAUSAL=true HEAD_DIM=128 SCALAR=bf16"
std::string print(const Values& values);

/// What to compute (problem) and how (schedule). A schedule changes speed, never the result beyond rounding.
struct KernelSpec {
  std::string kernel;  ///< "rms_norm": one name through template file, entry point, cache entry and test.
  Values problem;
  Values schedule;
  bool operator==(const KernelSpec&) const = default;
};

/// "attention_portable CAUSAL=true HEAD_DIM=128 ... | BLOCK_M=128 ..."
std::string print(const KernelSpec& spec);

/// How a kernel is launched; integers that the manifest computes from the spec's values.
struct LaunchShape {
  int threads = 0;         ///< Threads per block.
  int shared_bytes = 0;    ///< Dynamic shared memory per block.
  int rows_per_block = 1;  ///< The operator's unit of work that one block covers.
  int blocks_per_row = 1;  ///< Blocks that share that unit, when it takes more than one.
  int columns_per_tile = 1;  ///< Of what a block works on at once, in the operator's unit.
  bool walks = false;        ///< Blocks walk over units of work: as many are launched as the device runs at once.
  bool programmatic = false;  ///< May begin before the kernel ahead has ended; waits for it.
  bool operator==(const LaunchShape&) const = default;
};

/// Complete, self-contained CUDA C++: it also compiles with plain nvcc as one file.
struct Source {
  KernelSpec spec;
  std::string text;
  LaunchShape launch;
};

/// What ptxas said about a kernel.
struct Resources {
  int registers = 0;
  int spill_bytes = 0;  ///< Spill stores plus spill loads.
  int stack_bytes = 0;
  int static_shared_bytes = 0;
  std::vector<std::string> advisories;  ///< ptxas's C75xx performance messages, one line each.
};

/// Machine code for one architecture.
struct Cubin {
  std::string image;
  Resources resources;
  std::string log;         ///< The compiler's whole output.
  double compile_ms = 0.0;
};

}  // namespace sprue
