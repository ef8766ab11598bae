// PTX tokens to statements. Knows the shape of the language, not its instructions.
#include <bit>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "emulator/fault.h"
#include "emulator/lexer.h"
#include "emulator/syntax.h"

namespace emulator {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t dot = text.find('.');
    parts.emplace_back(text.substr(0, dot));
    if (dot == text.npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

bool is_number(const std::string& word) {
  return std::isdigit(static_cast<unsigned char>(word[0]));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : tokens_(tokens_of(text)) {
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      module_.lines.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  Module parse() {
    while (!at("")) {
      if (at(".version") || at(".address_size")) {
        at_ += 2;
      } else if (take(".target")) {
        module_.target = next();
        while (take(",")) next();
      } else {
        top_level();
      }
    }
    if (module_.target.empty()) refuse("this is no PTX: it has no .target");
    return std::move(module_);
  }

 private:
  bool at(std::string_view text) const { return tokens_[at_] == text; }
  std::string next() {
    if (at("")) unexpected("more");
    return tokens_[at_++].text;
  }
  bool take(std::string_view text) {
    if (!at(text)) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!take(text)) unexpected(text);
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    refuse("line {}: expected {}, found '{}'", tokens_[at_].line, wanted, tokens_[at_].text);
  }

  void top_level() {
    bool external = false;
    while (at(".visible") || at(".extern") || at(".weak") || at(".common")) external |= next() == ".extern";
    if (at(".entry")) return entry();
    if (at(".func")) refuse("line {}: functions that are called are not supported", tokens_[at_].line);
    if (at(".global") || at(".const") || at(".shared")) {
      return module_.variables.push_back(variable(next().substr(1), external));
    }
    unexpected("a declaration");
  }

  std::uint64_t integer() {
    const bool negative = take("-");
    std::string word = next();
    if (!is_number(word)) unexpected("a number");
    const std::uint64_t value = std::strtoull(word.c_str(), nullptr, 0);
    return negative ? -value : value;
  }

  /// A number as an operand or an initial value.
  Operand number() {
    Operand operand{.kind = Operand::Kind::number};
    const bool negative = take("-");
    const std::string word = next();
    if (word.starts_with("0f") || word.starts_with("0F")) {
      const auto bits = static_cast<std::uint32_t>(std::strtoul(word.c_str() + 2, nullptr, 16));
      operand.is_real = true;
      operand.bits = std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(bits)));
      // A double cannot carry every NaN of a float; the decoder takes these bits as they are.
      if ((bits & 0x7fffffff) > 0x7f800000) operand.name = "nan", operand.bits = bits;
    } else if (word.starts_with("0d") || word.starts_with("0D")) {
      operand.is_real = true;
      operand.bits = std::strtoull(word.c_str() + 2, nullptr, 16);
    } else if (word.find('.') != word.npos) {
      operand.is_real = true;
      const double value = std::strtod(word.c_str(), nullptr);
      operand.bits = std::bit_cast<std::uint64_t>(negative ? -value : value);
    } else {
      operand.bits = std::strtoull(word.c_str(), nullptr, 0);
      if (negative) operand.bits = -operand.bits;
    }
    return operand;
  }

  void append_initial(Variable& variable, Type type) {
    if (take("{")) {
      while (!take("}")) {
        append_initial(variable, type);
        take(",");
      }
      return;
    }
    if (!at("-") && !is_number(tokens_[at_].text)) unexpected("a number as initial value");
    const Operand value = number();
    std::uint64_t bits = value.bits;
    if (value.is_real && type == Type::f32 && value.name.empty()) {
      bits = std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(value.bits)));
    }
    const std::size_t at = variable.initial.size();
    variable.initial.resize(at + static_cast<std::size_t>(bytes_of(type)));
    std::memcpy(variable.initial.data() + at, &bits, static_cast<std::size_t>(bytes_of(type)));
  }

  /// After its space: ".align 4 .b8 name[32] = {...};" and, of parameters, up to what follows.
  Variable variable(std::string space, bool external, bool is_param = false) {
    Variable result{.name = {}, .space = std::move(space)};
    Type type = Type::none;
    std::size_t width = 1;
    while (at(".align") || tokens_[at_].text[0] == '.') {
      const std::string word = next().substr(1);
      if (word == "align") {
        result.alignment = integer();
      } else if (word == "v2" || word == "v4") {
        width = word == "v2" ? 2 : 4;
      } else if (const Type named = type_named(word); named != Type::none) {
        type = named;
      } else if (word == "ptr" || word == "attribute") {
        while (!at(".align") && tokens_[at_].text[0] == '.') next();
      } else {
        refuse("line {}: .{} of a variable is not supported", tokens_[at_].line, word);
      }
    }
    if (type == Type::none) unexpected("a type");
    result.name = next();
    std::size_t count = width;
    while (take("[")) {
      if (at("]")) {
        count = 0;
      } else {
        count *= integer();
      }
      expect("]");
    }
    result.bytes = count * static_cast<std::size_t>(bytes_of(type));
    result.alignment = std::max(result.alignment, static_cast<std::size_t>(bytes_of(type)));
    result.is_dynamic = external && result.space == "shared";
    if (take("=")) append_initial(result, type);
    if (!is_param) expect(";");
    return result;
  }

  void entry() {
    expect(".entry");
    Function function;
    function.name = next();
    if (take("(")) {
      while (!take(")")) {
        expect(".param");
        function.params.push_back(variable("param", false, true));
        take(",");
      }
    }
    while (!at("{")) {
      const std::string word = next();
      int extent[3] = {1, 1, 1};
      if (word == ".maxntid" || word == ".reqntid" || word == ".reqnctapercluster") {
        for (int& e : extent) {
          e = static_cast<int>(integer());
          if (!take(",")) break;
        }
        if (word == ".reqnctapercluster") {
          std::copy(extent, extent + 3, function.cluster);
        } else {
          function.most_threads = extent[0] * extent[1] * extent[2];
        }
      } else if (word == ".minnctapersm" || word == ".maxnreg" || word == ".maxclusterrank") {
        integer();
      } else if (word != ".explicitcluster" && word != ".blocksareclusters") {
        refuse("line {}: {} of a kernel is not supported", tokens_[at_].line, word);
      }
    }
    expect("{");
    body(function, 0);
    module_.functions.push_back(std::move(function));
  }

  void body(Function& function, int scope) {
    while (!take("}")) {
      if (take("{")) {
        function.parents.push_back(scope);
        body(function, static_cast<int>(function.parents.size()) - 1);
      } else if (take(".reg")) {
        registers(function, scope);
      } else if (at(".shared") || at(".local")) {
        function.variables.push_back(variable(next().substr(1), false));
      } else if (at(".pragma") || at(".loc") || at(".file")) {
        const bool is_pragma = at(".pragma");
        const int line = tokens_[at_].line;
        while (is_pragma ? !at(";") : tokens_[at_].line == line) next();
        take(";");
      } else if (tokens_[at_ + 1] == ":") {
        function.labels[{scope, next()}] = function.statements.size();
        expect(":");
      } else if (!take(";")) {
        function.statements.push_back(statement(scope));
      }
    }
  }

  void registers(Function& function, int scope) {
    const Type type = type_named(next().substr(1));
    if (type == Type::none) unexpected("a register's type");
    do {
      const std::string name = next();
      if (take("<")) {
        integer();
        expect(">");
      }
      function.registers[{scope, name}] = type;
    } while (take(","));
    expect(";");
  }

  Statement statement(int scope) {
    Statement result{.line = tokens_[at_].line, .scope = scope};
    if (take("@")) {
      result.guard_negated = take("!");
      result.guard = next();
    }
    result.op = split(next());
    while (!take(";")) {
      result.operands.push_back(operand());
      if (!at(";")) expect(",");
    }
    return result;
  }

  Operand operand() {
    if (take("{")) {
      Operand vector{.kind = Operand::Kind::vector};
      while (!take("}")) {
        vector.parts.push_back(operand());
        if (!at("}")) expect(",");
      }
      return vector;
    }
    if (take("[")) {
      Operand address{.kind = Operand::Kind::address};
      do {
        address.parts.push_back(operand());
        Operand& part = address.parts.back();
        if (part.kind == Operand::Kind::name) address.bits += std::exchange(part.bits, 0);
      } while (take(","));
      expect("]");
      return address;
    }
    const bool negated = take("!");
    if (at("-") || is_number(tokens_[at_].text)) return number();
    Operand name{.kind = Operand::Kind::name, .name = next(), .negated = negated};
    if (name.name == "_") name.kind = Operand::Kind::sink;
    if (take("|")) name.predicate = next();
    if (take("+")) name.bits = integer();
    return name;
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Module module_;
};

}  // namespace

Module parse(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace emulator
