// sprue run: every operator on random input and on files, beside the reference on the CPU.
#include <cstring>

#include "npy.h"
#include "operators/operator.h"
#include "support/catch.h"
#include "support/gpu.h"
#include "tools/sandbox.h"

namespace sprue::test {
namespace {

using Arguments = std::vector<std::string>;

Arguments split(const std::string& text) {
  Arguments words;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    words.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

/// `sprue run` with the cache and the built-in templates.
Result run(Sandbox& box, const std::string& arguments) {
  box.set("SPRUE_TEMPLATES", "");
  return box.run(split("run " + arguments));
}

/// That all checks of the outputs passed; how many there were.
std::size_t checks_passed(const Result& result) {
  INFO(result.err);
  REQUIRE(result.code == 0);
  std::size_t checks = 0;
  const auto report = result.json();
  for (const auto& [key, value] : report.items()) {
    if (key.size() < 5 || key.substr(key.size() - 5) != "check") continue;
    INFO(key << ' ' << value.dump());
    CHECK(value["passed"] == true);
    ++checks;
  }
  return checks;
}

struct Sample {
  std::string arguments;
  std::size_t checks = 1;
};

/// At least one of each operator.
const std::vector<Sample> samples = {
    {"activation --random 5x120 --function gelu --bias"},
    {"activation --random 5x33 --gate --dtype f32"},
    {"activation_backward --random 5x120 --gate --bias --dbias --function gelu_tanh", 4},
    {"attention --random 2x33x4x64 --causal --kv-heads 2", 2},
    {"attention --random 1x33x2x64 --alibi --sinks --bias --softcap 20 --window-left 9", 2},
    {"attention --random 3x17x2x64 --lengths 5,17,3 --lengths-k 40,17,33 --page-size 16", 2},
    {"attention --random 3x17x2x64 --lengths 5,17,3 --storage padded --dropout 0.2 --portable", 2},
    {"attention_backward --random 1x33x2x64 --causal", 3},
    {"attention_backward --random 2x17x2x64 --lengths 5,17 --sinks --dsinks --deterministic --portable", 4},
    {"cross_entropy --random 5x513 --dlogits --lse --label-smoothing 0.1 --softcap 5", 3},
    {"cross_entropy --random 5x512 --reduction none --dtype f32 --lse-square-scale 0.001"},
    {"cross_entropy_backward --random 5x512 --logit-scale 0.5"},
    {"softmax --random 2x9x120 --mask --scale 0.5"},
    {"softmax --random 2x9x33 --causal --dtype f32"},
    {"softmax_backward --random 2x9x120 --causal"},
    {"layer_norm --random 5x512 --bias --residual", 2},
    {"layer_norm --random 5x512 --gate --gate-first --weight1 --y-dtype e4m3", 2},
    {"layer_norm_backward --random 5x512 --dbias", 3},
    {"layer_norm_backward --random 5x512 --dbias --dresidual-out --gate --bias --weight1 --dx1 --dropout 0.1",
     7},
    {"rms_norm --random 5x500 --no-weight --dtype f32"},
    {"rms_norm --random 5x512 --residual --residual-dtype f32 --weight-dtype f32", 2},
    {"rms_norm --random 5x512 --x1 --dropout 0.2 --dropout-mask --row-scale --column-scale", 4},
    {"rms_norm --random 5x512 --y-dtype i8 --y-scale"},
    {"rms_norm_backward --random 5x512 --dresidual-out --dresidual", 3},
    {"rms_norm_backward --random 5x512 --dropout 0.2 --row-scale --column-scale --x", 3},
    {"rope --random 2x5x3x64 --heads-k 2 --rotary-dim 32 --interleaved --offsets", 2},
    {"rope --random 2x7x3x64 --lengths 3,7 --conjugate"},
};

void write_integers(const std::string& file, const std::vector<std::int32_t>& values) {
  tools::HostTensor tensor{DType::i32, {static_cast<std::int64_t>(values.size())}, {}};
  tensor.bytes.resize(4 * values.size());
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  tools::write_npy(file, tensor);
}

void write_zeros(const std::string& file, DType dtype, const std::vector<std::int64_t>& shape) {
  tools::HostTensor tensor{dtype, shape, {}};
  std::size_t elements = 1;
  for (const std::int64_t extent : shape) elements *= static_cast<std::size_t>(extent);
  tensor.bytes.resize(elements * size_of(dtype));
  tools::write_npy(file, tensor);
}

}  // namespace

TEST_CASE("run: every operator agrees with the reference", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Sandbox box;
  for (const Sample& sample : samples) {
    INFO(sample.arguments);
    CHECK(checks_passed(run(box, sample.arguments + " --check --json")) == sample.checks);
  }
}

TEST_CASE("run: every operator is among the samples") {
  for (const tools::Operator& op : tools::operators()) {
    INFO(op.name);
    CHECK(std::any_of(samples.begin(), samples.end(),
                      [&](const Sample& sample) { return sample.arguments.starts_with(op.name + ' '); }));
  }
}

TEST_CASE("run: files in, files out", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  Sandbox box;
  const std::string x = box.file("x.npy"), y = box.file("y.npy");
  REQUIRE(run(box, "rms_norm --random 6x64 --out " + x).code == 0);
  CHECK(checks_passed(run(box, "rms_norm --check --json --x " + x + " --out " + y)) == 1);
  const tools::HostTensor out = tools::read_npy(y, std::nullopt);
  CHECK(out.dtype == DType::bf16);
  CHECK(out.shape == std::vector<std::int64_t>{6, 64});

  REQUIRE(run(box, "attention --random 1x22x2x64 --out " + x).code == 0);
  tools::HostTensor packed = tools::read_npy(x, std::nullopt);
  packed.shape = {22, 2, 64};
  const std::string q = box.file("q.npy"), starts = box.file("starts.npy"), lse = box.file("lse.npy");
  tools::write_npy(q, packed);
  write_integers(starts, {0, 5, 5, 22});
  const std::string qkv = " --q " + q + " --k " + q + " --v " + q;
  CHECK(checks_passed(run(box, "attention --check --json --causal --lse " + lse + qkv + " --cu-seqlens-q " +
                                   starts + " --cu-seqlens-k " + starts)) == 2);
  CHECK(tools::read_npy(lse, std::nullopt).shape == std::vector<std::int64_t>{2, 22});
  packed.shape = {2, 11, 2, 64};
  tools::write_npy(q, packed);
  write_integers(starts, {7, 11});
  CHECK(checks_passed(run(box, "attention --check --json" + qkv + " --seqused-q " + starts + " --seqused-k " +
                                   starts)) == 2);
}

TEST_CASE("run: what cannot be meant is refused before anything is launched") {
  Sandbox box;
  const std::string rows = box.file("rows.npy"), q = box.file("q.npy"), floats = box.file("floats.npy");
  write_zeros(rows, DType::bf16, {4, 64});
  write_zeros(q, DType::bf16, {1, 4, 2, 64});
  write_zeros(floats, DType::f32, {1, 4, 2, 64});
  const auto refused = [&](const std::string& arguments) {
    const Result result = run(box, arguments);
    CHECK(result.code == 2);
    return result.err;
  };
  const std::string qkv = " --q " + q + " --k " + q + " --v " + q;
  CHECK_THAT(refused("rms_norm"), Contains("--x must name a .npy file, unless --random is given"));
  CHECK_THAT(refused("rms_norm --random 4"), Contains("written ROWSxHIDDEN, such as 4096x8192, but is '4'"));
  CHECK_THAT(refused("rms_norm --random 4x8 --x " + rows),
             Contains("--random makes x, but --x names a file"));
  CHECK_THAT(refused("rms_norm --random 4x8 --eps small"), Contains("'eps' in a shape of rms_norm"));
  CHECK_THAT(refused("rms_norm_backward --dy " + rows), Contains("--z must name a .npy file"));
  CHECK_THAT(refused("rms_norm_backward --random 4x8 --no-weight --dweight a.npy"),
             Contains("dweight needs a weight"));
  CHECK_THAT(refused("attention --q " + rows + " --k " + q + " --v " + q),
             Contains("--q must have 4 dimensions [batch, seqlen, heads, head_dim], but has 2"));
  CHECK_THAT(refused("attention --q " + floats + " --k " + q + " --v " + q), Contains("add --dtype bf16"));
  CHECK_THAT(refused("attention --kv-heads 2" + qkv), Contains("--kv-heads shapes random input"));
  CHECK_THAT(refused("attention --cu-seqlens-q " + q + qkv), Contains("integers are wanted"));
  CHECK_THAT(refused("attention --random 3x8x2x64 --lengths 3,9,1 --storage padded"),
             Contains("at least the longest length, 9"));
}

}  // namespace sprue::test
