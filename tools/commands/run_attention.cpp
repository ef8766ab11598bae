// sprue run attention.
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <memory>
#include <optional>

#include "bench/cases.h"
#include "bench/workload.h"
#include "commands/run_options.h"
#include "driver/stream.h"
#include "reference/attention.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct AttentionOptions : CommonRunOptions {
  std::string q, k, v, bias, sinks, out, lse;
  std::int64_t kv_heads = 0, seqlen_k = 0;  ///< Of random input; 0: as the queries.
  bool alibi = false;
  Attention args = {};  ///< Its numbers and flags.
};

struct AttentionTensors {
  HostTensor q, k, v;
};

AttentionTensors random_tensors(const AttentionOptions& options) {
  const auto shape = parse_extents(options.random.empty() ? "2x1024x16x128" : options.random, 4,
                                   "BATCHxSEQLENxHEADSxHEAD_DIM, such as 2x1024x16x128");
  const DType dtype = parse_dtype(options.dtype.empty() ? "bf16" : options.dtype);
  auto keys = shape;
  if (options.seqlen_k != 0) keys[1] = options.seqlen_k;
  if (options.kv_heads != 0) keys[2] = options.kv_heads;
  return {random_tensor(shape, dtype, options.seed), random_tensor(keys, dtype, options.seed + 1),
          random_tensor(keys, dtype, options.seed + 2)};
}

HostTensor read_tensor(const char* flag, const std::string& file, const AttentionOptions& options) {
  HostTensor tensor = read_input(flag, file, options);
  require_rank(flag, tensor, 4, "[batch, seqlen, heads, head_dim]");
  if (tensor.dtype == DType::f32) {
    throw ArgumentError(
        fmt::format("{} holds 32-bit or 64-bit floats, but attention takes f16 and bf16: add --dtype bf16 or "
                    "--dtype f16 to convert",
                    file));
  }
  return tensor;
}

AttentionTensors read_tensors(const AttentionOptions& options) {
  if (options.kv_heads != 0 || options.seqlen_k != 0)
    throw ArgumentError("--kv-heads and --seqlen-k shape random input, but --random is not given");
  return {read_tensor("--q", options.q, options), read_tensor("--k", options.k, options),
          read_tensor("--v", options.v, options)};
}

/// Those of Press et al. 2021: 2^(-8 / heads), its square, ...; for other numbers of heads than powers of
/// two, those of the next smaller one and every other of the next larger one.
std::vector<float> standard_slopes(std::int64_t heads) {
  const auto whole = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<float> slopes;
  for (std::int64_t h = 0; h < heads; ++h) {
    const bool first = h < whole;
    const double step = first ? static_cast<double>(h + 1) : static_cast<double>(h - whole) + 0.5;
    slopes.push_back(static_cast<float>(std::exp2(-8 * step / static_cast<double>(whole))));
  }
  return slopes;
}

HostTensor floats(const std::vector<float>& values) {
  return {DType::f32, {static_cast<std::int64_t>(values.size())}, reference::narrow(values, DType::f32)};
}

/// The tensors that few calls have, on the GPU.
struct Extras {
  Extras(const AttentionOptions& options, std::int64_t heads) {
    if (options.alibi) slopes.emplace(floats(standard_slopes(heads)));
    if (!options.sinks.empty()) sinks.emplace(read_npy(options.sinks, DType::f32));
    if (!options.bias.empty()) bias.emplace(read_npy(options.bias, std::nullopt));
    if (bias) require_rank("--bias", bias->host(), 4, "[batch or 1, heads or 1, seqlen_q or 1, seqlen_k]");
  }
  void add_to(Attention& args) const {
    if (slopes) args.alibi_slopes = slopes->tensor();
    if (sinks) args.sinks = sinks->tensor();
    if (bias) args.bias = bias->tensor();
  }
  std::string print() const {
    return fmt::format("{}{}{}", slopes ? ", ALiBi" : "", sinks ? ", sinks" : "", bias ? ", bias" : "");
  }

  std::optional<Operand> slopes, sinks, bias;
};

reference::AttentionShape shape_of(const Attention& args) {
  const auto &q = args.q.extents.shape, &k = args.k.extents.shape;
  return {.batch = q[0],
          .seqlen_q = q[1],
          .seqlen_k = k[1],
          .heads = q[2],
          .kv_heads = k[2],
          .head_dim = q[3],
          .head_dim_v = args.v.extents.shape[3],
          .causal = args.causal,
          .scale = args.scale,
          .window_left = args.window_left,
          .window_right = args.window_right,
          .chunk = args.chunk,
          .softcap = args.softcap,
          .dropout = args.dropout};
}

void check(const reference::AttentionShape& shape, const reference::AttentionInputs& in, Operand& out,
           Operand& lse, RunReport& report) {
  const DType dtype = out.read_back().dtype;
  lse.read_back();
  const reference::AttentionResult truth = reference::attention(shape, in);
  report.check = reference::compare(out.values(), truth.out, reference::naive_attention(shape, in, dtype));
  report.lse_check = reference::compare(lse.values(), truth.lse, 1e-3 + std::ldexp(shape.softcap, -10));
}

int run_attention(const AttentionOptions& options) {
  AttentionTensors inputs = options.is_random() ? random_tensors(options) : read_tensors(options);
  const DType dtype = inputs.q.dtype;
  const Operand q(std::move(inputs.q)), k(std::move(inputs.k)), v(std::move(inputs.v));
  const auto& qs = q.shape();
  const Extras extras(options, qs[2]);
  Operand out(dtype, {qs[0], qs[1], qs[2], v.shape()[3]}), lse(DType::f32, {qs[0], qs[2], qs[1]});
  Attention args = options.args;
  args.out = out.tensor();
  args.q = q.tensor();
  args.k = k.tensor();
  args.v = v.tensor();
  extras.add_to(args);
  if (!options.lse.empty() || options.check) args.lse = lse.tensor();

  Runtime runtime(runtime_options());
  RunReport report{.op = "attention", .rate_unit = "TFLOPS", .kernel = prepare(runtime, args)};
  attention(runtime, args);
  driver::synchronize(nullptr);

  const reference::AttentionShape shape = shape_of(args);
  report.shape = describe(Case(AttentionCase{shape, dtype, args.lse.given()})) + extras.print();
  if (options.check) {
    const auto qf = q.values(), kf = k.values(), vf = v.values();
    const auto values = [](const std::optional<Operand>& operand) {
      return operand ? operand->values() : std::vector<float>();
    };
    const auto slopes = values(extras.slopes), sinks = values(extras.sinks), bias = values(extras.bias);
    reference::AttentionInputs in{.q = qf, .k = kf, .v = vf, .alibi_slopes = slopes, .sinks = sinks};
    if (extras.bias) {
      const auto& extents = extras.bias->shape();
      in.bias = {bias, extents[0], extents[1], extents[2], extents[3]};
    }
    check(shape, in, out, lse, report);
  }
  write_output(out, options.out, report);
  write_output(lse, options.lse, report);
  report.median_us = median_us([&](Stream stream) { attention(runtime, args, stream); });
  report.rate = attention_flops(shape) / report.median_us / 1e6;
  return tell(report, options.json);
}

void add_features(CLI::App& command, AttentionOptions& options) {
  Attention& args = options.args;
  command.add_flag("--causal", args.causal, "Query i sees keys up to its position, i + seqlen_k - seqlen_q");
  command.add_option("--scale", args.scale, "Of the scores (1 / sqrt(head_dim))");
  command.add_option("--window-left", args.window_left, "Keys seen before a query's position (all)");
  command.add_option("--window-right", args.window_right, "Keys seen behind a query's position (all)");
  command.add_option("--chunk", args.chunk, "A query sees the keys of its own chunk of so many (all)");
  command.add_option("--softcap", args.softcap, "Scores become softcap * tanh(score / softcap)");
  command.add_flag("--alibi", options.alibi, "Add the standard ALiBi slopes times the distance");
  command.add_option("--bias", options.bias,
                     "FILE of [batch or 1, heads or 1, seqlen_q or 1, seqlen_k] to add");
  command.add_option("--sinks", options.sinks, "FILE of a logit per head that takes probability");
  command.add_option("--dropout", args.dropout.probability, "Probability of dropping");
  command.add_option("--dropout-seed", args.dropout.seed, "Of the dropout pattern (0)");
  command.add_flag("--batch-invariant", args.batch_invariant, "The same bits whatever else is in the batch");
  command.add_flag("--portable", args.portable,
                   "The kernel that runs everywhere, also where there is a faster one");
}

}  // namespace

void setup_run_attention(CLI::App& run) {
  const auto options = std::make_shared<AttentionOptions>();
  CLI::App& command = add_command(run, "attention", "Tensors are [batch, seqlen, heads, head_dim]", "");
  command.add_option("--q", options->q, "FILE of the queries");
  command.add_option("--k", options->k, "FILE of the keys");
  command.add_option("--v", options->v, "FILE of the values");
  command.add_option("--out", options->out, "FILE to write the output to");
  command.add_option("--lse", options->lse, "FILE to write the log-sum-exp to");
  add_features(command, *options);
  add_common_options(command, *options,
                     "Random input instead of files: BATCHxSEQLENxHEADSxHEAD_DIM (2x1024x16x128)");
  command.add_option("--kv-heads", options->kv_heads, "Heads of random keys and values (as queries)");
  command.add_option("--seqlen-k", options->seqlen_k, "Length of random keys and values (as queries)");
  on_run(command, [options] { return run_attention(*options); });
}

}  // namespace sprue::tools
