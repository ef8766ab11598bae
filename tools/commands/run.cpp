// sprue run: an operator on NumPy files or random input; its time and, on request, a check against the CPU.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "bench/cases.h"
#include "bench/replay.h"
#include "bench/workload.h"
#include "command.h"
#include "commands/run_report.h"
#include "driver/stream.h"
#include "operand.h"
#include "reference/compare.h"
#include "reference/rms_norm.h"
#include "sprue/error.h"
#include "sprue/ops.h"

namespace sprue::tools {
namespace {

struct CommonOptions {
  std::string dtype, random;
  const CLI::Option* random_option = nullptr;
  bool check = false, json = false;
  std::uint64_t seed = 1;

  bool is_random() const { return random_option->count() > 0; }
};

struct AttentionOptions : CommonOptions {
  std::string q, k, v, out, lse;
  bool causal = false;
  float scale = NAN;
};

struct RmsNormOptions : CommonOptions {
  std::string x, weight, y;
  bool no_weight = false;
  float eps = RmsNorm{}.eps;
};

/// "2x1024x16x128" → {2, 1024, 16, 128}
std::vector<std::int64_t> parse_extents(const std::string& text, std::size_t rank, const char* meaning) {
  std::vector<std::int64_t> extents;
  bool good = true;
  for (std::size_t start = 0; good && start <= text.size();) {
    const std::size_t end = std::min(text.find('x', start), text.size());
    const std::string digits = text.substr(start, end - start);
    good =
        !digits.empty() && digits.size() < 12 && digits.find_first_not_of("0123456789") == std::string::npos;
    if (good) extents.push_back(std::stoll(digits));
    start = end + 1;
  }
  if (!good || extents.size() != rank) {
    throw ArgumentError(fmt::format("--random must be written {}, but is '{}'", meaning, text));
  }
  return extents;
}

HostTensor read_input(const std::string& flag, const std::string& file, const CommonOptions& options) {
  if (file.empty())
    throw ArgumentError(fmt::format("{} must name a .npy file, unless --random is given", flag));
  const auto wanted = options.dtype.empty() ? std::nullopt : std::optional(parse_dtype(options.dtype));
  return read_npy(file, wanted);
}

void require_rank(const std::string& flag, const HostTensor& tensor, std::size_t rank, const char* layout) {
  if (tensor.shape.size() == rank) return;
  throw ArgumentError(
      fmt::format("{} must have {} dimensions {}, but has {}", flag, rank, layout, tensor.shape.size()));
}

double median_us(const std::function<void(Stream)>& launch) {
  const driver::StreamHandle stream;
  return Replay(stream, [&](Stream s, int) { launch(s); }).median_us(0.2);
}

void write_output(Operand& operand, const std::string& file, RunReport& report) {
  if (file.empty()) return;
  write_npy(file, operand.read_back());
  report.written.push_back(file);
}

int run_attention(const AttentionOptions& options) {
  HostTensor inputs[3];
  if (options.is_random()) {
    const auto shape = parse_extents(options.random.empty() ? "2x1024x16x128" : options.random, 4,
                                     "BATCHxSEQLENxHEADSxHEAD_DIM, such as 2x1024x16x128");
    const DType dtype = parse_dtype(options.dtype.empty() ? "bf16" : options.dtype);
    for (int i = 0; i < 3; ++i)
      inputs[i] = random_tensor(shape, dtype, options.seed + static_cast<unsigned>(i));
  } else {
    const std::pair<const char*, const std::string*> files[] = {
        {"--q", &options.q}, {"--k", &options.k}, {"--v", &options.v}};
    for (int i = 0; i < 3; ++i) {
      inputs[i] = read_input(files[i].first, *files[i].second, options);
      require_rank(files[i].first, inputs[i], 4, "[batch, seqlen, heads, head_dim]");
      if (inputs[i].dtype == DType::f32) {
        throw ArgumentError(
            fmt::format("{} holds 32-bit or 64-bit floats, but attention takes f16 and bf16: add --dtype "
                        "bf16 or --dtype f16 to convert",
                        *files[i].second));
      }
    }
  }
  const DType dtype = inputs[0].dtype;
  const Operand q(std::move(inputs[0])), k(std::move(inputs[1])), v(std::move(inputs[2]));
  const auto& qs = q.shape();
  Operand out(dtype, {qs[0], qs[1], qs[2], v.shape()[3]}), lse(DType::f32, {qs[0], qs[2], qs[1]});
  Attention args{.out = out.tensor(),
                 .q = q.tensor(),
                 .k = k.tensor(),
                 .v = v.tensor(),
                 .causal = options.causal,
                 .scale = options.scale};
  if (!options.lse.empty() || options.check) args.lse = lse.tensor();

  Runtime runtime(runtime_options());
  RunReport report{.op = "attention", .rate_unit = "TFLOPS", .kernel = prepare(runtime, args)};
  attention(runtime, args);
  driver::synchronize(nullptr);

  const reference::AttentionShape shape{.batch = qs[0],
                                        .seqlen_q = qs[1],
                                        .seqlen_k = k.shape()[1],
                                        .heads = qs[2],
                                        .kv_heads = k.shape()[2],
                                        .head_dim = qs[3],
                                        .head_dim_v = v.shape()[3],
                                        .causal = options.causal,
                                        .scale = options.scale};
  report.shape = describe(Case(AttentionCase{shape, dtype, args.lse.given()}));
  if (options.check) {
    out.read_back();
    lse.read_back();
    const auto qf = q.values(), kf = k.values(), vf = v.values();
    const reference::AttentionInputs in{qf, kf, vf};
    const reference::AttentionResult truth = reference::attention(shape, in);
    report.check = reference::compare(out.values(), truth.out, reference::naive_attention(shape, in, dtype));
    report.lse_check = reference::compare(lse.values(), truth.lse, 1e-3);
  }
  write_output(out, options.out, report);
  write_output(lse, options.lse, report);
  report.median_us = median_us([&](Stream stream) { attention(runtime, args, stream); });
  report.rate = attention_flops(shape) / report.median_us / 1e6;
  return tell(report, options.json);
}

int run_rms_norm(const RmsNormOptions& options) {
  std::optional<HostTensor> x_host, weight_host;
  if (options.is_random()) {
    const auto shape = parse_extents(options.random.empty() ? "4096x8192" : options.random, 2,
                                     "ROWSxHIDDEN, such as 4096x8192");
    const DType dtype = parse_dtype(options.dtype.empty() ? "bf16" : options.dtype);
    x_host = random_tensor(shape, dtype, options.seed);
    if (!options.no_weight) weight_host = random_tensor({shape[1]}, dtype, options.seed + 1);
  } else {
    x_host = read_input("--x", options.x, options);
    if (!options.weight.empty()) weight_host = read_input("--weight", options.weight, options);
  }
  if (x_host->shape.empty())
    throw ArgumentError("--x must have at least 1 dimension [..., hidden], but has 0");
  const Operand x(std::move(*x_host));
  std::optional<Operand> weight;
  if (weight_host) weight.emplace(std::move(*weight_host));
  Operand y(x.tensor().dtype, x.shape());
  RmsNorm args{.y = y.tensor(), .x = x.tensor(), .eps = options.eps};
  if (weight) args.weight = weight->tensor();

  Runtime runtime(runtime_options());
  RunReport report{.op = "rms_norm", .rate_unit = "GB/s", .kernel = prepare(runtime, args)};
  rms_norm(runtime, args);
  driver::synchronize(nullptr);

  const std::int64_t hidden = x.shape().back();
  const std::int64_t elements = args.x.extents.elements();
  const DType dtype = args.x.dtype;
  report.shape = describe(Case(RmsNormCase{elements / hidden, hidden, dtype, weight.has_value()}));
  if (options.check) {
    y.read_back();
    const auto xf = x.values(), wf = weight ? weight->values() : std::vector<float>();
    const reference::RmsNormInputs in{elements / hidden, hidden, xf, wf, options.eps};
    report.check =
        reference::compare(y.values(), reference::rms_norm(in), reference::naive_rms_norm(in, dtype));
  }
  write_output(y, options.y, report);
  report.median_us = median_us([&](Stream stream) { rms_norm(runtime, args, stream); });
  const auto bytes =
      static_cast<double>((2 * elements + (weight ? hidden : 0)) * static_cast<std::int64_t>(size_of(dtype)));
  report.rate = bytes / report.median_us / 1e3;
  return tell(report, options.json);
}

void add_common_options(CLI::App& command, CommonOptions& options, const std::string& random_help) {
  command.add_option("--dtype", options.dtype,
                     "Convert the input to f32, f16 or bf16; the type of --random (bf16)");
  options.random_option = command.add_option("--random", options.random, random_help)->expected(0, 1);
  command.add_option("--seed", options.seed, "Of the random input (1)");
  command.add_flag("--check", options.check,
                   "Compare with a double-precision reference on the CPU; exit code 8 if it differs");
  command.add_flag("--json", options.json, "Report as JSON");
  add_runtime_options(command);
}

}  // namespace

void setup_run(CLI::App& app) {
  CLI::App& command = add_command(
      app, "run", "Run an operator on NumPy files or random input",
      "  sprue run attention --q q.npy --k k.npy --v v.npy --out o.npy --causal --dtype bf16\n"
      "  sprue run rms_norm --x x.npy --weight w.npy --out y.npy\n"
      "  sprue run attention --random 2x4096x16x128 --check\n"
      "Files may be float16, float32, float64, and bfloat16 as '<V2' or '<u2'; bf16 is written as\n"
      "'<V2', which ml_dtypes reads: numpy.load(\"o.npy\").view(ml_dtypes.bfloat16)\n");
  command.require_subcommand(1);

  const auto attention = std::make_shared<AttentionOptions>();
  CLI::App& on_attention =
      add_command(command, "attention", "Tensors are [batch, seqlen, heads, head_dim]", "");
  on_attention.add_option("--q", attention->q, "FILE of the queries");
  on_attention.add_option("--k", attention->k, "FILE of the keys");
  on_attention.add_option("--v", attention->v, "FILE of the values");
  on_attention.add_option("--out", attention->out, "FILE to write the output to");
  on_attention.add_option("--lse", attention->lse, "FILE to write the log-sum-exp to");
  on_attention.add_flag("--causal", attention->causal, "Query i sees keys up to i + seqlen_k - seqlen_q");
  on_attention.add_option("--scale", attention->scale, "Of the scores (1 / sqrt(head_dim))");
  add_common_options(on_attention, *attention,
                     "Random input instead of files: BATCHxSEQLENxHEADSxHEAD_DIM (2x1024x16x128)");
  on_run(on_attention, [attention] { return run_attention(*attention); });

  const auto norm = std::make_shared<RmsNormOptions>();
  CLI::App& on_norm = add_command(command, "rms_norm", "x is [..., hidden], weight [hidden]", "");
  on_norm.add_option("--x", norm->x, "FILE of the input");
  on_norm.add_option("--weight", norm->weight, "FILE of the weight; without it there is no scaling");
  on_norm.add_option("--out", norm->y, "FILE to write the output to");
  on_norm.add_flag("--no-weight", norm->no_weight, "Random input without a weight");
  on_norm.add_option("--eps", norm->eps, "Added to the mean square (1e-6)");
  add_common_options(on_norm, *norm, "Random input instead of files: ROWSxHIDDEN (4096x8192)");
  on_run(on_norm, [norm] { return run_rms_norm(*norm); });
}

}  // namespace sprue::tools
