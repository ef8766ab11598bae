#include "commands/run_operator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <optional>

#include "bench/replay.h"
#include "bench/workload.h"
#include "commands/run_report.h"
#include "driver/stream.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

using nlohmann::ordered_json;

struct RunOptions {
  const Operator* op = nullptr;
  std::string random;
  const CLI::Option* random_option = nullptr;
  std::map<std::string, std::string> inputs, outputs;  ///< Files, or "", by name of the tensor.
  std::map<std::string, const CLI::Option*> tensor_options;
  std::map<std::string, std::string> values;  ///< Of keys, as text; dtype is one.
  std::map<std::string, bool> flags;          ///< Flags of keys that were given, or their --no- form.
  bool check = false, json = false;
  std::uint64_t seed = 1;

  bool is_random() const { return random_option->count() > 0; }
  bool asks_for(const std::string& tensor) const { return tensor_options.at(tensor)->count() > 0; }
};

const Key* find_key(const Operator& op, const std::string& name) {
  const auto found =
      std::find_if(op.keys.begin(), op.keys.end(), [&](const Key& key) { return key.name == name; });
  return found == op.keys.end() ? nullptr : &*found;
}

/// Its tensor is left out unless the command line asks for it.
bool is_off(const Key* key) {
  return key != nullptr && key->otherwise == std::string("false");
}

/// "BATCHxSEQLENxHEADSxHEAD_DIM"
std::string random_form(const Operator& op) {
  std::string form = fmt::format("{}", fmt::join(op.random, "\n"));
  std::transform(form.begin(), form.end(), form.begin(), [](unsigned char c) { return std::toupper(c); });
  std::replace(form.begin(), form.end(), '\n', 'x');
  return form;
}

void add_random(const RunOptions& options, ordered_json& shape) {
  const Operator& op = *options.op;
  const std::string text = options.random.empty() ? op.random_default : options.random;
  const auto extents = parse_extents(text);
  if (extents.size() != op.random.size()) {
    throw ArgumentError(fmt::format("--random must be written {}, such as {}, but is '{}'", random_form(op),
                                    op.random_default, text));
  }
  for (std::size_t i = 0; i < extents.size(); ++i) shape[op.random[i]] = extents[i];
}

Files read_files(const RunOptions& options) {
  const auto dtype = options.values.find("dtype");
  std::optional<DType> converted;
  if (dtype != options.values.end()) converted = parse_dtype(dtype->second);
  Files files;
  for (const Input& input : options.op->inputs) {
    const auto file = options.inputs.find(input.name);
    if (file == options.inputs.end() || file->second.empty()) continue;
    if (options.is_random() && find_key(*options.op, input.name) == nullptr) {
      throw ArgumentError(
          fmt::format("--random makes {}, but {} names a file", input.name, option_name(input.name)));
    }
    const std::optional<DType> wanted = input.type == Input::Type::converted ? converted
                                        : input.type == Input::Type::f32     ? std::optional(DType::f32)
                                        : input.type == Input::Type::i32     ? std::optional(DType::i32)
                                                                             : std::nullopt;
    files.emplace(input.name, read_npy(file->second, wanted));
  }
  return files;
}

/// What the command line says, without what files decide.
ordered_json given_shape(const RunOptions& options) {
  ordered_json shape = ordered_json::object();
  for (const auto& [key, value] : options.values) shape[key] = shape_value(value);
  for (const auto& [key, value] : options.flags) shape[key] = value;
  for (const Input& input : options.op->inputs) {
    const Key* const key = find_key(*options.op, input.name);
    if (key == nullptr) continue;
    if (options.asks_for(input.name)) {
      shape[input.name] = true;
    } else if (!options.is_random()) {
      shape[input.name] = false;
    }
  }
  for (const Output& output : options.op->outputs) {
    const Key* const key = find_key(*options.op, output.name);
    const bool wanted = options.asks_for(output.name) || (options.check && output.checked);
    if (key != nullptr && wanted && !shape.contains(output.name)) shape[output.name] = true;
  }
  return shape;
}

/// Files decide extents, which the command line must not give too.
void add_files(const RunOptions& options, const Files& files, ordered_json& shape) {
  ordered_json decided = ordered_json::object();
  options.op->read_files(files, options.is_random(), decided);
  for (const auto& [key, value] : decided.items()) {
    if (options.values.count(key) != 0 && key != "dtype") {
      throw ArgumentError(fmt::format("{} shapes random input, but --random is not given", option_name(key)));
    }
    shape[key] = value;
  }
}

int run(const RunOptions& options) {
  const Operator& op = *options.op;
  const Files files = read_files(options);
  ordered_json keys = given_shape(options);
  if (options.is_random()) add_random(options, keys);
  add_files(options, files, keys);
  const Case shape = op.parse(Shape(op.name, op.keys, keys));
  Tensors tensors(options.seed, &files);
  const Call call = shape.call(tensors);

  Runtime runtime(runtime_options());
  RunReport report{.op = op.name,
                   .rate_unit = shape.flops != 0 ? "TFLOPS" : "GB/s",
                   .kernel = call.prepare(runtime),
                   .shape = shape.text};
  call.launch(runtime, nullptr);
  driver::synchronize(nullptr);
  if (options.check) report.checks = shape.check(tensors);
  for (const auto& [name, file] : options.outputs) {
    if (file.empty()) continue;
    write_npy(file, tensors.read(name));
    report.written.push_back(file);
  }
  const driver::StreamHandle stream;
  report.median_us = Replay(stream, [&](Stream s, int) { call.launch(runtime, s); }).median_us(0.2);
  report.rate = shape.flops != 0 ? shape.flops / report.median_us / 1e6
                                 : bytes_of(shape, tensors) / report.median_us / 1e3;
  return tell(report, options.json);
}

void add_tensors(CLI::App& command, RunOptions& options) {
  for (const Input& input : options.op->inputs) {
    const bool off = is_off(find_key(*options.op, input.name));
    CLI::Option* const option =
        command.add_option(option_name(input.name), options.inputs[input.name],
                           fmt::format("{}{}", input.help, off ? "; without FILE: made here" : ""));
    option->type_name("FILE");
    if (off) option->expected(0, 1);
    options.tensor_options[input.name] = option;
  }
  for (const Output& output : options.op->outputs) {
    const bool off = is_off(find_key(*options.op, output.name));
    CLI::Option* const option = command.add_option(
        option_name(output.name), options.outputs[output.name],
        fmt::format("To write: {}{}", output.help, off ? "; without FILE: made, not written" : ""));
    option->type_name("FILE");
    if (off) option->expected(0, 1);
    options.tensor_options[output.name] = option;
  }
}

void add_keys(CLI::App& command, RunOptions& options) {
  const Operator& op = *options.op;
  for (const Key& key : op.keys) {
    const std::string name = key.name;
    const auto is_this = [&](const auto& tensor) { return tensor.name == name; };
    const bool input = std::any_of(op.inputs.begin(), op.inputs.end(), is_this);
    const bool output = std::any_of(op.outputs.begin(), op.outputs.end(), is_this);
    if (std::find(op.random.begin(), op.random.end(), name) != op.random.end()) continue;
    RunOptions* const to = &options;
    if (!key.is_flag()) {
      const std::string otherwise = *key.otherwise == '\0' ? "" : fmt::format(" ({})", key.otherwise);
      command
          .add_option_function<std::string>(
              option_name(name), [to, name](const std::string& text) { to->values[name] = text; },
              key.help + otherwise)
          ->type_name("VALUE");
    } else if (key.otherwise == std::string("true")) {
      command.add_flag_callback(
          option_name("no_" + name), [to, name] { to->flags[name] = false; },
          fmt::format("Not: {}", key.help));
    } else if (!input && !output) {
      command.add_flag_callback(
          option_name(name), [to, name] { to->flags[name] = true; }, key.help);
    }
  }
}

}  // namespace

void setup_run_operator(CLI::App& run_command, const Operator& op) {
  const auto options = std::make_shared<RunOptions>();
  options->op = &op;
  CLI::App& command = add_command(run_command, op.name, op.summary, "");
  add_tensors(command, *options);
  add_keys(command, *options);
  options->random_option = command
                               .add_option("--random", options->random,
                                           fmt::format("Random input instead of files: {} ({})",
                                                       random_form(op), op.random_default))
                               ->expected(0, 1);
  command.add_option("--seed", options->seed, "Of the random input (1)");
  command.add_flag("--check", options->check,
                   "Compare with a double-precision reference on the CPU; exit code 8 if it differs");
  command.add_flag("--json", options->json, "Report as JSON");
  add_runtime_options(command);
  on_run(command, [options] { return run(*options); });
}

}  // namespace sprue::tools
