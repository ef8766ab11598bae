// Decodes a kernel: gives registers, literals and variables their places and lets the families build.
#include "emulator/decoder.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>

namespace emulator {
namespace {

const Families& families() {
  static const Families all = [] {
    Families f;
    for (const auto add :
         {add_integer, add_bits, add_compare, add_convert, add_move, add_control, add_exchange, add_memory,
          add_atomic, add_matrix, add_wgmma, add_mbarrier, add_async}) {
      add(f);
    }
    return f;
  }();
  return all;
}

std::size_t round_up(std::size_t value, std::size_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

Decoder::Decoder(const Function& function, const Module& module, const GlobalAddresses& globals,
                 Program& program)
    : function_(function), program_(program) {
  for (const auto& [name, address] : globals) symbols_[name] = address;
  for (const Variable& param : function.params) {
    program.param_bytes = round_up(program.param_bytes, param.alignment);
    symbols_[param.name] = program.param_bytes;
    program.param_bytes += param.bytes;
  }
  std::size_t shared = kSharedBase, alignment = 16;
  const auto place = [&](const Variable& variable) {
    std::size_t& end = variable.space == "local" ? program.local_bytes : shared;
    if (variable.space != "local" && variable.space != "shared") return;
    if (variable.is_dynamic) return void(alignment = std::max(alignment, variable.alignment));
    end = round_up(end, variable.alignment);
    symbols_[variable.name] = end;
    end += variable.bytes;
  };
  for (const Variable& variable : module.variables) place(variable);
  for (const Variable& variable : function.variables) place(variable);
  program.static_shared_bytes = shared - kSharedBase;
  program.dynamic_shared_begin = round_up(shared, alignment);
  program.local_bytes = round_up(program.local_bytes, 16);
  for (const Variable& variable : module.variables) {
    if (variable.is_dynamic) symbols_[variable.name] = program.dynamic_shared_begin;
  }
}

void Decoder::run() {
  for (const Statement& statement : function_.statements) {
    first_instruction_.push_back(static_cast<std::uint32_t>(program_.code.size()));
    decode(statement);
  }
  first_instruction_.push_back(static_cast<std::uint32_t>(program_.code.size()));
  resolve_branches();
}

void Decoder::decode(const Statement& statement) {
  statement_ = &statement;
  const auto family = families().find(statement.op[0]);
  if (family == families().end()) unsupported();
  Instruction in;
  in.line = statement.line;
  if (!statement.guard.empty()) {
    in.guard = named_predicate(statement.guard);
    in.guard_negated = statement.guard_negated;
  }
  family->second(*this, in);
  if (in.run == nullptr) unsupported();
  if (statement.op[0] == "bra") branches_.push_back({program_.code.size(), &statement});
  program_.code.push_back(in);
}

void Decoder::emit(Instruction in) {
  program_.code.push_back(in);
}

void Decoder::resolve_branches() {
  for (const Branch& branch : branches_) {
    statement_ = branch.statement;
    auto label = function_.labels.end();
    for (int scope = statement_->scope; scope >= 0 && label == function_.labels.end();
         scope = function_.parents[static_cast<std::size_t>(scope)]) {
      label = function_.labels.find({scope, operand(0).name});
    }
    if (label == function_.labels.end()) unsupported("names a label that is not there");
    program_.code[branch.instruction].target = first_instruction_[label->second];
  }
}

const Operand& Decoder::operand(std::size_t index) const {
  if (index >= operands()) unsupported("has too few operands");
  return statement_->operands[index];
}

Type Decoder::type(int from_last) const {
  for (auto part = statement_->op.rbegin(); part != statement_->op.rend(); ++part) {
    const Type named = type_named(*part);
    if (named != Type::none && from_last-- == 0) return named;
  }
  unsupported("names no type");
}

void Decoder::unsupported(std::string_view why) const {
  refuse("line {}: {} {}", statement_->line, statement_->print_op(), why);
}

const std::pair<const ScopedName, Type>* Decoder::find_register(std::string_view name) const {
  std::string_view prefix = name;
  while (!prefix.empty() && std::isdigit(static_cast<unsigned char>(prefix.back()))) prefix.remove_suffix(1);
  for (int scope = statement_->scope; scope >= 0;
       scope = function_.parents[static_cast<std::size_t>(scope)]) {
    for (const std::string_view wanted : {name, prefix}) {
      const auto found = function_.registers.find({scope, std::string(wanted)});
      if (found != function_.registers.end()) return &*found;
    }
  }
  return nullptr;
}

std::uint32_t Decoder::allocate(int bytes, int fill) {
  // Vectors are aligned to a cache line; predicates are packed.
  std::vector<std::byte>& image = program_.image;
  const std::size_t at = round_up(image.size(), bytes > 4 ? 64 : 4);
  image.resize(at, std::byte{0xFF});
  image.resize(at + static_cast<std::size_t>(bytes), static_cast<std::byte>(fill));
  return static_cast<std::uint32_t>(at);
}

std::uint32_t Decoder::slot(const std::string& name) {
  const auto* found = find_register(name);
  if (found == nullptr) return kNone;
  const auto [place, is_new] = slots_.try_emplace({found->first.first, name}, kNone);
  if (is_new) {
    const int bytes = found->second == Type::pred ? 4 : bytes_of(found->second) == 8 ? 256 : 128;
    if (found->second == Type::b128) unsupported("has a 128-bit register");
    place->second = allocate(bytes, found->second == Type::pred ? 0 : 0xFF);
    program_.registers += bytes / 128;
  }
  return place->second;
}

std::uint32_t Decoder::special(const std::string& name) {
  if (const auto known = specials_.find(name); known != specials_.end()) return known->second;
  const std::optional<Special> which = special_named(name);
  if (!which) return kNone;
  const std::uint32_t at = specials_[name] = allocate(128, 0);
  program_.specials.emplace_back(*which, at);
  return at;
}

bool Decoder::symbol(const std::string& name, std::uint64_t& value) const {
  const auto found = symbols_.find(name);
  if (found == symbols_.end()) return false;
  value = found->second;
  return true;
}

std::uint32_t Decoder::constant(Type type, std::uint64_t bits) {
  const int bytes = type == Type::pred ? 1 : bytes_of(type) == 8 ? 8 : 4;
  if (type == Type::pred) bits = bits != 0 ? 0xffffffffu : 0;
  if (bytes == 4) bits = bytes_of(type) >= 4 ? static_cast<std::uint32_t>(bits) : bits & 0xffff;
  const auto [place, is_new] = constants_.try_emplace({bytes, bits}, kNone);
  if (!is_new) return place->second;
  place->second = allocate(bytes == 1 ? 4 : bytes == 8 ? 256 : 128, 0);
  std::byte* const to = program_.image.data() + place->second;
  const std::size_t element = bytes == 8 ? 8 : 4;
  for (std::size_t lane = 0; lane < (bytes == 1 ? 1u : 32u); ++lane) {
    std::memcpy(to + lane * element, &bits, element);
  }
  return place->second;
}

std::uint32_t Decoder::source(const Operand& operand, Type type) {
  if (operand.kind == Operand::Kind::number) {
    if (!operand.is_real) return constant(type, operand.bits);
    if (type == Type::f64 || type == Type::b64) return constant(type, operand.bits);
    if (operand.name == "nan") return constant(type, operand.bits);
    return constant(type,
                    std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(operand.bits))));
  }
  if (operand.kind != Operand::Kind::name) unsupported("has an operand of an unexpected kind");
  if (operand.negated) unsupported("has a negated operand");
  if (const std::uint32_t at = slot(operand.name); at != kNone) return at;
  if (const std::uint32_t at = special(operand.name); at != kNone) return at;
  std::uint64_t value = 0;
  if (!symbol(operand.name, value)) unsupported("names '" + operand.name + "', which is not declared");
  return constant(type, value + operand.bits);
}

std::uint32_t Decoder::target(const Operand& operand) {
  if (operand.kind == Operand::Kind::sink) {
    if (discarded_ == kNone) discarded_ = allocate(256, 0xFF);
    return discarded_;
  }
  const std::uint32_t at = slot(operand.name);
  if (at == kNone) unsupported("writes '" + operand.name + "', which is no register");
  return at;
}

std::uint32_t Decoder::named_predicate(const std::string& name) {
  const std::uint32_t at = slot(name);
  if (at == kNone) unsupported("names '" + name + "', which is no predicate");
  return at;
}

Type Decoder::type_of(const Operand& operand) const {
  if (operand.kind != Operand::Kind::name) return Type::none;
  const auto* found = find_register(operand.name);
  return found == nullptr ? Type::none : found->second;
}

std::uint64_t Decoder::literal(const Operand& operand) const {
  if (operand.kind != Operand::Kind::number || operand.is_real) unsupported("needs a literal");
  return operand.bits;
}

void Decoder::address(const Operand& operand, Instruction& in) {
  if (operand.kind != Operand::Kind::address) unsupported("needs an address in brackets");
  const Operand& base = operand.parts.at(0);
  const bool narrow = bytes_of(type_of(base)) == 4;
  in.a = source(base, narrow ? Type::u32 : Type::u64);
  in.aux[3] = narrow;
  in.offset = static_cast<std::int64_t>(operand.bits);
}

void Decoder::append(Instruction& in, std::uint32_t value) {
  if (in.list == 0) {
    if (program_.lists.empty()) program_.lists.push_back(kNone);  // 0 means: no list yet
    in.list = static_cast<std::uint32_t>(program_.lists.size());
  }
  program_.lists.push_back(value);
}

void Decoder::append_sources(Instruction& in, const Operand& vector, Type type) {
  for (const Operand& element : elements(vector)) append(in, source(element, type));
}

void Decoder::append_targets(Instruction& in, const Operand& vector) {
  for (const Operand& element : elements(vector)) append(in, target(element));
}

std::vector<Operand> Decoder::elements(const Operand& operand) {
  if (operand.kind == Operand::Kind::vector) return operand.parts;
  return {operand};
}

Program decode(const Function& function, const Module& module, const GlobalAddresses& globals,
               std::shared_ptr<const std::vector<std::string>> lines) {
  Program program;
  program.name = function.name;
  program.lines = std::move(lines);
  program.most_threads = function.most_threads;
  std::copy(function.cluster, function.cluster + 3, program.cluster);
  Decoder(function, module, globals, program).run();
  return program;
}

std::string Program::print(const Instruction& in) const {
  const auto index = static_cast<std::size_t>(in.line - 1);
  std::string text = lines && index < lines->size() ? (*lines)[index] : "";
  text.erase(0, text.find_first_not_of(" \t"));
  return fmt::format("line {}: {}", in.line, text);
}

}  // namespace emulator
