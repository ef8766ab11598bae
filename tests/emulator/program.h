// Program: a kernel as decoded instructions, ready to run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emulator/syntax.h"

namespace emulator {

class Warp;
struct Instruction;

/// What an instruction did.
enum class Status : std::uint8_t {
  next,     ///< It is done.
  jumped,   ///< It is done and has set where its lanes continue.
  blocked,  ///< It cannot run yet and has changed nothing: to be tried again when others have run.
  yield,    ///< It is done; others should run now.
};
/// Runs for the lanes of a mask that is not empty.
using Handler = Status (*)(Warp&, const Instruction&, std::uint32_t mask);

enum class Space : std::uint8_t { generic, global, shared, local, param };

inline constexpr std::uint32_t kNone = ~0u;

/// Registers are named by their offset in a warp's register file, where a register of up to 32 bits is 32
/// words, one of 64 bits 32 double words, and a predicate one word with a bit per lane. Literals and special
/// registers lie there too, so that every operand is read alike.
struct Instruction {
  Handler run = nullptr;
  std::uint32_t dst = kNone, a = kNone, b = kNone, c = kNone, d = kNone;
  std::uint32_t guard = kNone;
  bool guard_negated = false;
  Space space = Space::generic;
  std::uint8_t width = 1;     ///< Elements of a vector.
  std::uint32_t target = 0;   ///< Of a branch.
  std::uint32_t list = 0;     ///< Operands beyond a to d: where they begin in Program::lists.
  std::uint32_t memory = 0;   ///< Which of the program's instructions with a global address it is.
  std::int64_t offset = 0;    ///< Of an address.
  int aux[4] = {0, 0, 0, 0};  ///< What the handler wants to know besides.
  int line = 0;
};

enum class Special : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
  cluster_ctarank,
  cluster_nctarank,
  cluster_ctaid_x,
  cluster_ctaid_y,
  cluster_ctaid_z,
  cluster_nctaid_x,
  cluster_nctaid_y,
  cluster_nctaid_z,
  clusterid_x,
  clusterid_y,
  clusterid_z,
  nclusterid_x,
  nclusterid_y,
  nclusterid_z,
  is_explicit_cluster,
  dynamic_smem_size,
  total_smem_size,
};

/// "%tid.x"; nothing for any other name.
std::optional<Special> special_named(std::string_view name);

/// Shared memory of a block begins here, as on sm_90, so that address 0 is nobody's.
inline constexpr std::uint32_t kSharedBase = 1024;

struct Program {
  std::string name;
  std::shared_ptr<const std::vector<std::string>> lines;  ///< The PTX.
  std::vector<Instruction> code;
  std::vector<std::uint32_t> lists;
  std::vector<std::byte> image;  ///< Registers at the start: literals, and elsewhere 0xFF bytes.
  std::vector<std::pair<Special, std::uint32_t>> specials;
  std::size_t param_bytes = 0, static_shared_bytes = 0, dynamic_shared_begin = kSharedBase, local_bytes = 0;
  int registers = 0;  ///< 32-bit ones that the PTX declares as used: an upper limit without meaning.
  int most_threads = 1024;
  int cluster[3] = {0, 0, 0};
  std::uint32_t memory_instructions = 0;

  /// "line 123: ld.global.f32 %f1, [%rd1];"
  std::string print(const Instruction& in) const;
};

/// Where the variables of a module lie.
using GlobalAddresses = std::vector<std::pair<std::string, std::uint64_t>>;

/// Refused with the line for an instruction that the emulator does not know.
Program decode(const Function& function, const Module& module, const GlobalAddresses& globals,
               std::shared_ptr<const std::vector<std::string>> lines);

}  // namespace emulator
