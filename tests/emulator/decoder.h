// Decoder: what the families of instructions use to turn a statement into an Instruction.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "emulator/fault.h"
#include "emulator/program.h"

namespace emulator {

class Decoder {
 public:
  Decoder(const Function& function, const Module& module, const GlobalAddresses& globals, Program& program);
  void run();

  const Statement& statement() const { return *statement_; }
  const Operand& operand(std::size_t index) const;
  std::size_t operands() const { return statement_->operands.size(); }
  bool has(std::string_view modifier) const { return statement_->has(modifier); }
  /// The last type that the instruction names; with 1 the one before it.
  Type type(int from_last = 0) const;
  [[noreturn]] void unsupported(std::string_view why = "is not supported") const;

  /// The register, literal, special register or address of a variable that an operand is, read as `type`.
  std::uint32_t source(const Operand& operand, Type type);
  /// A register to be written; what is written to `_` is lost.
  std::uint32_t target(const Operand& operand);
  /// A predicate; "!%p1" is refused.
  std::uint32_t predicate(const Operand& operand) { return source(operand, Type::pred); }
  std::uint32_t named_predicate(const std::string& name);
  std::uint32_t constant(Type type, std::uint64_t bits);
  /// Of a register; none of anything else.
  Type type_of(const Operand& operand) const;
  std::uint64_t literal(const Operand& operand) const;

  /// "[%rd1+16]": sets a (64 bits, or 32 where aux[3] is 1) and offset.
  void address(const Operand& operand, Instruction& in);
  /// Appends to the program's lists; the first call of an instruction sets `in.list`.
  void append(Instruction& in, std::uint32_t value);
  void append_sources(Instruction& in, const Operand& vector, Type type);
  void append_targets(Instruction& in, const Operand& vector);
  /// The operand itself, or the elements of a vector.
  static std::vector<Operand> elements(const Operand& operand);
  std::uint32_t new_memory_index() { return program_.memory_instructions++; }

  /// A second instruction for the same statement, before the one being decoded.
  void emit(Instruction in);
  Program& program() { return program_; }

 private:
  void decode(const Statement& statement);
  void resolve_branches();
  const std::pair<const ScopedName, Type>* find_register(std::string_view name) const;
  std::uint32_t slot(const std::string& name);
  std::uint32_t allocate(int bytes, int fill);
  std::uint32_t special(const std::string& name);
  bool symbol(const std::string& name, std::uint64_t& value) const;

  const Function& function_;
  Program& program_;
  const Statement* statement_ = nullptr;
  std::map<ScopedName, std::uint32_t> slots_;
  std::map<std::pair<int, std::uint64_t>, std::uint32_t> constants_;
  std::unordered_map<std::string, std::uint32_t> specials_;
  std::unordered_map<std::string, std::uint64_t> symbols_;
  std::uint32_t discarded_ = kNone;
  struct Branch {
    std::size_t instruction;
    const Statement* statement;
  };
  std::vector<Branch> branches_;
  std::vector<std::uint32_t> first_instruction_;  ///< Of each statement.
};

/// Fills in everything but guard and line.
using Build = void (*)(Decoder&, Instruction&);
using Families = std::unordered_map<std::string_view, Build>;

// Each family of instructions registers its mnemonics.
void add_integer(Families& families);
void add_bits(Families& families);
void add_compare(Families& families);
void add_convert(Families& families);
void add_move(Families& families);
void add_control(Families& families);
void add_exchange(Families& families);
void add_memory(Families& families);
void add_atomic(Families& families);
void add_matrix(Families& families);
void add_wgmma(Families& families);
void add_mbarrier(Families& families);
void add_async(Families& families);

}  // namespace emulator
