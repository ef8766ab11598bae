// PTX text as statements: what the parser makes and the decoder reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emulator/types.h"

namespace emulator {

struct Operand {
  enum class Kind { name, number, vector, address, sink };
  Kind kind = Kind::sink;
  std::string name = {};            ///< A register, a symbol or a label.
  std::string predicate = {};       ///< p of "%r1|p".
  bool negated = false;             ///< "!%p1"
  bool is_real = false;             ///< The number was written with a point or as 0f..., 0d...
  std::uint64_t bits = 0;           ///< Of a number: an integer, or a double's; of an address: its offset.
  std::vector<Operand> parts = {};  ///< Of a vector; of an address: the base, and the coordinates' vector.
};

struct Statement {
  int line = 0;
  int scope = 0;
  std::string guard = {};  ///< Empty where there is none.
  bool guard_negated = false;
  std::vector<std::string> op = {};  ///< "mad", "lo", "s32"
  std::vector<Operand> operands = {};

  std::string print_op() const {
    std::string text;
    for (const std::string& part : op) text += (text.empty() ? "" : ".") + part;
    return text;
  }
  bool has(std::string_view modifier) const {
    for (std::size_t i = 1; i < op.size(); ++i) {
      if (op[i] == modifier) return true;
    }
    return false;
  }
};

/// A variable outside of registers.
struct Variable {
  std::string name;
  std::string space;  ///< "global", "const", "shared", "local", "param"
  std::size_t bytes = 0;
  std::size_t alignment = 1;
  bool is_dynamic = false;  ///< extern .shared: begins where the static ones end.
  std::vector<std::byte> initial = {};
};

using ScopedName = std::pair<int, std::string>;

struct Function {
  std::string name;
  std::vector<Variable> params, variables;
  std::vector<Statement> statements;
  std::vector<int> parents = {-1};           ///< Of each scope.
  std::map<ScopedName, std::size_t> labels;  ///< The statement that a label stands before.
  std::map<ScopedName, Type> registers;      ///< "%r" stands for all of "%r<100>"; others for one.
  int most_threads = 1024;                   ///< .maxntid or .reqntid
  int cluster[3] = {0, 0, 0};                ///< .reqnctapercluster; 0 where not given.
};

struct Module {
  std::string target;  ///< "sm_90a"
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::vector<std::string> lines;  ///< The text, for messages.
};

/// Refused with line and text for what is not PTX or not understood.
Module parse(std::string_view text);

}  // namespace emulator
