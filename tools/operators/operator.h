// Operator: all that `sprue run`, `bench` and `tune` know of one. Each has a file of its own in this folder
// and a line in list.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "operators/shape.h"
#include "operators/tensors.h"
#include "reference/compare.h"
#include "sprue/runtime.h"

namespace sprue::tools {

/// An operator with its arguments.
struct Call {
  std::function<KernelInfo(Runtime&)> prepare;
  std::function<void(Runtime&, Stream)> launch;
};

template <class Arguments>
Call call(const Arguments& arguments, void (*op)(Runtime&, const Arguments&, Stream)) {
  return {[arguments](Runtime& runtime) { return prepare(runtime, arguments); },
          [arguments, op](Runtime& runtime, Stream stream) { op(runtime, arguments, stream); }};
}

/// An output beside the reference on the CPU.
struct Check {
  std::string output;
  reference::Comparison comparison;
};

/// An operator at one shape.
struct Case {
  std::string text;  ///< "rows 4096, hidden 8192, bf16"
  DType dtype = DType::bf16;
  double flops = 0;                    ///< Of one launch, where arithmetic is the limit; 0 where memory is.
  double bytes = 0;                    ///< That a launch must move; 0: those of all its tensors.
  std::function<Call(Tensors&)> call;  ///< Makes the tensors.
  std::function<std::vector<Check>(const Tensors&)> check;
};

/// A tensor that `sprue run` reads.
struct Input {
  enum class Type { converted, own, f32, i32 };  ///< `converted`: as --dtype says.

  const char* name;
  const char* help;
  Type type = Type::converted;
};

/// A tensor that `sprue run` writes.
struct Output {
  const char* name;
  const char* help;
  bool checked = false;  ///< --check alone asks for it.
};

struct Operator {
  std::string name;
  std::string summary;
  std::vector<Key> keys;
  /// An input that has the name of a key, which is false or true, is one that can be left out.
  std::vector<Input> inputs;
  /// Likewise.
  std::vector<Output> outputs;
  std::vector<std::string> random;  ///< The keys that --random AxBxC gives.
  std::string random_default;
  std::vector<std::string> cases;  ///< What is measured when nothing is asked for.
  /// Sets the keys that the files decide, whatever else is given. `random`: only inputs that can be left out
  /// are files.
  std::function<void(const Files& files, bool random, nlohmann::ordered_json& shape)> read_files;
  std::function<Case(const Shape&)> parse;
};

/// All, sorted by name.
const std::vector<Operator>& operators();
/// ArgumentError if there is none of that name.
const Operator& find_operator(const std::string& name);

/// The file of an input that cannot be left out; ArgumentError if there is none.
const HostTensor& needed(const Files& files, const std::string& name);
void require_rank(const std::string& name, const HostTensor& tensor, std::size_t rank, const char* layout);
/// "2x1024x16x128" → {2, 1024, 16, 128}; nothing if it is not written so.
std::vector<std::int64_t> parse_extents(const std::string& text);

// What the operators on rows share, whose keys are rows and hidden.
/// The shapes of 2^27 elements with rows of 2 KiB to 128 KiB.
std::vector<std::string> row_cases();
/// rows, hidden and dtype from the file of an input [..., hidden].
void read_rows(const std::string& name, const Files& files, bool random, nlohmann::ordered_json& shape);

/// {5, 17, 3} of a file of {0, 5, 22, 25}; ArgumentError unless it ascends from 0.
std::vector<std::int64_t> lengths_between(const std::string& name, const HostTensor& starts);
/// The other way.
std::vector<float> starts_of(const std::vector<std::int64_t>& lengths);

/// "--window-left"
std::string option_name(const std::string& name);

}  // namespace sprue::tools
