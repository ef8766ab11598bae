// Every shipped kernel compiles on every architecture without spills and without performance advisories
// (C75xx). Default schedules are compiled for every sampled problem; the other legal schedules take turns
// over problems and architectures. SPRUE_SWEEP=full compiles the whole product instead (minutes on 16 cores).
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "codegen/manifest.h"
#include "codegen/render.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/nvrtc.h"

namespace sprue {
namespace {

struct Job {
  const codegen::Manifest* manifest;
  KernelSpec spec;
  Architecture arch;
};

Values attention(const char* scalar, int head_dim, int head_dim_v, bool causal, bool has_lse, int alignment) {
  return {{"SCALAR", std::string(scalar)},
          {"HEAD_DIM", std::int64_t{head_dim}},
          {"HEAD_DIM_V", std::int64_t{head_dim_v}},
          {"CAUSAL", causal},
          {"HAS_LSE", has_lse},
          {"ALIGNMENT", std::int64_t{alignment}}};
}

/// Causal attention without lse, and `features`.
Values attention(const char* scalar, int head_dim, int head_dim_v, const Values& features) {
  Values problem = features;
  problem.merge(attention(scalar, head_dim, head_dim_v, true, false, 16));
  return problem;
}

/// The features of attention that change how scores become probabilities.
const Values kAllScores{
    {"WINDOW", true}, {"CHUNK", true},       {"SOFTCAP", true}, {"ALIBI", true}, {"BIAS", std::string("f32")},
    {"SINKS", true},  {"SIGNED_SCALE", true}};

Values merged(Values values, const Values& more) {
  values.insert(more.begin(), more.end());
  return values;
}

Values rms_norm(const char* scalar, int hidden, bool has_weight, int alignment, int row_dims) {
  return {{"SCALAR", std::string(scalar)},
          {"HIDDEN", std::int64_t{hidden}},
          {"HAS_WEIGHT", has_weight},
          {"ALIGNMENT", std::int64_t{alignment}},
          {"ROW_DIMS", std::int64_t{row_dims}}};
}

std::vector<Values> problems_of(const std::string& kernel) {
  if (kernel == "attention_portable") {
    return {
        attention("bf16", 128, 128, false, true, 16),
        attention("bf16", 128, 128, true, true, 16),
        attention("f16", 128, 128, false, false, 16),
        attention("bf16", 64, 64, true, true, 16),
        attention("f16", 256, 256, true, true, 16),
        attention("bf16", 192, 128, true, true, 16),
        attention("bf16", 96, 96, false, true, 16),
        attention("bf16", 120, 120, true, true, 16),
        attention("f16", 72, 72, true, false, 8),
        attention("bf16", 8, 8, false, false, 2),
        attention("bf16", 64, 256, false, true, 16),
        attention("f16", 248, 40, true, true, 4),
        attention("bf16", 168, 168, false, true, 2),
        attention("bf16", 64, 64, {{"WINDOW", true}, {"SINKS", true}}),
        attention("bf16", 128, 128, {{"SOFTCAP", true}, {"WINDOW", true}}),
        attention("bf16", 64, 64, {{"ALIBI", true}, {"CAUSAL", false}}),
        attention("f16", 128, 128, {{"BIAS", std::string("f16")}, {"CAUSAL", false}}),
        attention("bf16", 128, 128, {{"DROPOUT", true}}),
        attention("bf16", 128, 128, {{"VARLEN", true}, {"PAGED", true}, {"PACKED_HEADS", std::int64_t{8}}}),
        attention("bf16", 128, 128, {{"VARLEN", true}, {"PACKED_HEADS", std::int64_t{8}}, {"HAS_LSE", true}}),
        attention("bf16", 256, 256, {{"VARLEN", true}, {"CHUNK", true}, {"SIGNED_SCALE", true}}),
        attention("bf16", 64, 512, {{"PAGED", true}, {"HAS_LSE", true}}),
        attention("f16", 72, 264, {{"SINKS", true}}),
        attention("bf16", 96, 96, merged(kAllScores, {{"VARLEN", true}, {"DROPOUT", true}})),
        attention("bf16", 256, 256,
                  merged(kAllScores, {{"VARLEN", true},
                                      {"PAGED", true},
                                      {"DROPOUT", true},
                                      {"PROBABILITIES", true},
                                      {"HAS_LSE", true}})),
        attention("bf16", 64, 64,
                  merged(kAllScores, {{"VARLEN", true}, {"PACKED_HEADS", std::int64_t{64}}}))};
  }
  if (kernel == "attention_sm90") {
    const auto sm90 = [](const char* scalar, int head_dim, int head_dim_v, Values problem) {
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"HEAD_DIM", std::int64_t{head_dim}},
                           {"HEAD_DIM_V", std::int64_t{head_dim_v}},
                           {"HAS_LSE", true}});
      return problem;
    };
    const Values causal{{"CAUSAL", true}}, paged{{"VARLEN", true}, {"PAGED", true}, {"CAUSAL", true}};
    const Values dropped = merged(kAllScores, {{"VARLEN", true}, {"DROPOUT", true}, {"PROBABILITIES", true}});
    return {sm90("bf16", 64, 64, {}),
            sm90("bf16", 64, 64, causal),
            sm90("f16", 64, 64, merged(causal, {{"SHORT", true}})),
            sm90("bf16", 96, 96, {}),
            sm90("bf16", 96, 96, merged(causal, {{"VARLEN", true}})),
            sm90("bf16", 128, 128, {}),
            sm90("f16", 128, 128, causal),
            sm90("bf16", 128, 128, {{"SHORT", true}}),
            sm90("bf16", 128, 128, {{"ALIBI", true}}),
            sm90("f16", 128, 128, merged(causal, {{"ALIBI", true}})),
            sm90("f16", 128, 128, merged(causal, {{"ALIBI", true}, {"SOFTCAP", true}, {"SINKS", true}})),
            sm90("bf16", 64, 64, {{"ALIBI", true}, {"VARLEN", true}, {"PACKED_HEADS", std::int64_t{8}}}),
            sm90("bf16", 64, 64, merged(causal, {{"ALIBI", true}, {"PACKED_HEADS", std::int64_t{4}}})),
            sm90("bf16", 64, 64, merged(causal, {{"VARLEN", true}, {"PACKED_HEADS", std::int64_t{8}}})),
            sm90("bf16", 128, 128,
                 merged(causal, {{"VARLEN", true}, {"SHORT", true}, {"PACKED_HEADS", std::int64_t{4}}})),
            sm90("bf16", 96, 96, {{"ALIBI", true}}),
            sm90("bf16", 192, 256, {{"ALIBI", true}}),
            sm90("bf16", 256, 256, {{"ALIBI", true}}),
            sm90("bf16", 192, 128, causal),
            sm90("bf16", 192, 192, {}),
            sm90("f16", 256, 256, causal),
            sm90("bf16", 72, 72, causal),
            sm90("bf16", 8, 512, {}),
            sm90("f16", 64, 264, paged),
            sm90("bf16", 128, 128, paged),
            sm90("bf16", 256, 256, paged),
            sm90("bf16", 128, 128, {{"WINDOW", true}, {"SOFTCAP", true}}),
            sm90("bf16", 128, 128, {{"SOFTCAP", true}, {"BOUNDED", true}}),
            sm90("bf16", 256, 256, merged(paged, {{"SOFTCAP", true}, {"BOUNDED", true}, {"DROPOUT", true}})),
            sm90("bf16", 128, 128, {{"DROPOUT", true}, {"CAUSAL", true}}),
            sm90("f16", 256, 256, {{"DROPOUT", true}, {"ALIBI", true}}),
            sm90("bf16", 192, 192, {{"BIAS", std::string("f32")}, {"CAUSAL", true}}),
            sm90("bf16", 128, 128, {{"VARLEN", true}, {"PAGED", true}, {"PACKED_HEADS", std::int64_t{8}}}),
            sm90("bf16", 64, 64, dropped),
            sm90("bf16", 256, 256, dropped),
            sm90("bf16", 64, 512, merged(dropped, {{"PAGED", true}}))};
  }
  if (kernel == "rms_norm") {
    return {rms_norm("bf16", 4096, true, 16, 1), rms_norm("f32", 8192, true, 16, 2),
            rms_norm("f16", 1, false, 2, 1),     rms_norm("bf16", 513, true, 2, 5),
            rms_norm("f32", 16384, false, 4, 1), rms_norm("bf16", 8192, true, 16, 3)};
  }
  if (kernel == "attention_backward_keys" || kernel == "attention_backward_queries" ||
      kernel == "attention_backward_bias") {
    const bool queries = kernel == "attention_backward_queries", bias = kernel == "attention_backward_bias";
    const auto backward = [&](const char* scalar, int head_dim, int head_dim_v, Values problem) {
      if (bias) problem.merge(Values{{"BIAS", std::string("f32")}, {"DBIAS", std::string("f32")}});
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"HEAD_DIM", std::int64_t{head_dim}},
                           {"HEAD_DIM_V", std::int64_t{head_dim_v}}});
      return problem;
    };
    Values all = merged(kAllScores, {{"CAUSAL", true}, {"VARLEN", true}, {"DROPOUT", true}});
    all.erase("SINKS");
    if (queries) all.emplace("SLOPE_ROWS", true);
    if (bias) return {backward("bf16", 256, 256, all), backward("f16", 64, 72, {{"ONE_ROW", true}})};
    return {backward("bf16", 64, 64, {{"CAUSAL", true}}),
            backward("bf16", 128, 128, {{"CAUSAL", true}}),
            backward("f16", 192, 128, {{"ALIGNMENT", std::int64_t{2}}}),
            backward("bf16", 256, 256, {}),
            backward("bf16", 128, 128, all),
            backward("f16", 256, 256, all)};
  }
  if (kernel == "attention_backward_fused") {
    const auto backward = [](const char* scalar, int head_dim, int head_dim_v, Values problem) {
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"HEAD_DIM", std::int64_t{head_dim}},
                           {"HEAD_DIM_V", std::int64_t{head_dim_v}}});
      return problem;
    };
    Values all = merged(kAllScores, {{"CAUSAL", true}, {"VARLEN", true}, {"DROPOUT", true}});
    all.erase("SINKS");
    return {backward("bf16", 64, 64, {{"CAUSAL", true}}),
            backward("f16", 128, 128, {{"CAUSAL", true}, {"WINDOW", true}, {"VARLEN", true}}),
            backward("f16", 40, 104, {{"ALIGNMENT", std::int64_t{2}}}),
            backward("bf16", 64, 64, {{"DROPOUT", true}}), backward("bf16", 128, 128, all)};
  }
  if (kernel == "attention_backward_delta") {
    return {
        {{"SCALAR", std::string("bf16")}, {"HEAD_DIM_V", std::int64_t{128}}},
        {{"SCALAR", std::string("f16")}, {"HEAD_DIM_V", std::int64_t{8}}, {"ALIGNMENT", std::int64_t{2}}}};
  }
  if (kernel == "attention_backward_bias_sm90") {
    const auto bias = [](const char* scalar, int head_dim, int head_dim_v, const char* bias, Values problem) {
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"HEAD_DIM", std::int64_t{head_dim}},
                           {"HEAD_DIM_V", std::int64_t{head_dim_v}},
                           {"BIAS", std::string(bias)},
                           {"DBIAS", std::string(scalar)}});
      return problem;
    };
    Values all = merged(kAllScores, {{"CAUSAL", true}, {"VARLEN", true}, {"DROPOUT", true}});
    all.erase("SINKS");
    all.erase("BIAS");
    return {bias("bf16", 128, 128, "bf16", {{"BIAS_MAP", true}, {"CAUSAL", true}}),
            bias("bf16", 64, 64, "bf16", {{"BIAS_MAP", true}, {"DROPOUT", true}}),
            bias("f16", 72, 40, "f32", {{"VARLEN", true}}), bias("bf16", 128, 128, "f32", all),
            bias("f16", 128, 128, "f16", merged(all, {{"BIAS_MAP", true}}))};
  }
  if (kernel == "attention_backward_sm90") {
    const auto backward = [](const char* scalar, int head_dim, int head_dim_v, Values problem) {
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"HEAD_DIM", std::int64_t{head_dim}},
                           {"HEAD_DIM_V", std::int64_t{head_dim_v}}});
      return problem;
    };
    Values all =
        merged(kAllScores, {{"CAUSAL", true}, {"VARLEN", true}, {"DROPOUT", true}, {"DETERMINISTIC", true}});
    all.erase("SINKS");
    const Values ordered{{"CAUSAL", true}, {"WINDOW", true}, {"VARLEN", true}, {"DETERMINISTIC", true}};
    const Values dbias{{"BIAS", std::string("bf16")}, {"BIAS_MAP", true}, {"DBIAS", true}};
    return {backward("bf16", 64, 64, {{"CAUSAL", true}}),
            backward("bf16", 96, 96, all),
            backward("bf16", 128, 128, {}),
            backward("f16", 128, 128, ordered),
            backward("bf16", 128, 128, {{"ALIBI", true}, {"CAUSAL", true}}),
            backward("bf16", 128, 128,
                     {{"SOFTCAP", true}, {"CAUSAL", true}, {"VARLEN", true}, {"DETERMINISTIC", true}}),
            backward("f16", 128, 128, {{"DROPOUT", true}, {"CAUSAL", true}, {"VARLEN", true}}),
            backward("bf16", 104, 120, {{"DROPOUT", true}, {"SOFTCAP", true}}),
            backward("bf16", 128, 128,
                     {{"BIAS", std::string("f32")}, {"SOFTCAP", true}, {"ALIBI", true}, {"WINDOW", true}}),
            backward("f16", 96, 96, {{"BIAS", std::string("f16")}, {"DROPOUT", true}, {"SOFTCAP", true}}),
            backward("bf16", 128, 128, {{"BIAS", std::string("bf16")}, {"BIAS_MAP", true}, {"CAUSAL", true}}),
            backward("bf16", 128, 128, merged(dbias, {{"CAUSAL", true}, {"DETERMINISTIC", true}})),
            backward("bf16", 128, 128, merged(dbias, {{"CHUNK", true}})),
            backward("bf16", 96, 96, merged(dbias, {{"DROPOUT", true}, {"ALIBI", true}, {"WINDOW", true}})),
            backward("bf16", 208, 208, merged(dbias, {{"CAUSAL", true}, {"WINDOW", true}, {"CHUNK", true}})),
            backward("f16", 128, 96,
                     {{"BIAS", std::string("f16")},
                      {"BIAS_MAP", true},
                      {"WINDOW", true},
                      {"VARLEN", true},
                      {"SOFTCAP", true}}),
            backward("f16", 192, 128, {{"CAUSAL", true}}),
            backward("bf16", 192, 128, ordered),
            backward("bf16", 192, 128,
                     {{"SOFTCAP", true}, {"CAUSAL", true}, {"VARLEN", true}, {"DETERMINISTIC", true}}),
            backward("f16", 192, 128, {{"DROPOUT", true}, {"CAUSAL", true}, {"VARLEN", true}}),
            backward("bf16", 192, 128, {{"BIAS", std::string("f32")}, {"WINDOW", true}}),
            backward("bf16", 160, 160, {{"ALIBI", true}, {"CHUNK", true}, {"VARLEN", true}}),
            backward("bf16", 192, 128, all),
            backward("bf16", 192, 192, all),
            backward("f16", 256, 256,
                     merged(ordered, {{"DROPOUT", true}, {"SOFTCAP", true}, {"SIGNED_SCALE", true}})),
            backward("bf16", 256, 256,
                     merged(ordered, {{"BIAS", std::string("f32")}, {"SOFTCAP", true}, {"CHUNK", true}}))};
  }
  if (kernel == "attention_backward_dq") {
    return {{{"SCALAR", std::string("bf16")}, {"HEAD_DIM", std::int64_t{64}}, {"BLOCK_M", std::int64_t{128}}},
            {{"SCALAR", std::string("f16")},
             {"HEAD_DIM", std::int64_t{256}},
             {"BLOCK_M", std::int64_t{64}},
             {"ALIGNMENT", std::int64_t{2}},
             {"VARLEN", true}}};
  }
  if (kernel == "attention_backward_heads") {
    return {{{"SCALAR", std::string("bf16")}, {"VARLEN", true}, {"SINKS", true}, {"SLOPES", true}}};
  }
  if (kernel == "norm_forward" || kernel == "norm_backward") {
    const bool backward = kernel == "norm_backward";
    const auto norm = [&](const char* scalar, const char* others, int hidden, int alignment) {
      Values problem{{"SCALAR", std::string(scalar)},
                     {"WEIGHT", std::string(others)},
                     {"RESIDUAL", std::string(others)},
                     {"HIDDEN", std::int64_t{hidden}},
                     {"ALIGNMENT", std::int64_t{alignment}}};
      if (backward) {
        problem.merge(Values{{"Z", std::string(scalar)},
                             {"HAS_DWEIGHT", true},
                             {"HAS_DBIAS", true},
                             {"HAS_DRESIDUAL", true},
                             {"HAS_DRESIDUAL_OUT", true}});
      } else {
        problem.merge(Values{{"HAS_BIAS", true}, {"HAS_RESIDUAL_OUT", true}});
      }
      return problem;
    };
    const auto with = [](Values problem, const Values& more) {
      for (const auto& [name, value] : more) problem[name] = value;
      return problem;
    };
    const Values dropped{{"DROPOUT", true}, {"X_FACTOR", true}, {"HAS_MASK", true}},
        two{{"OUTPUTS", std::int64_t{2}}}, gated{{"GATE", std::string("first")}, {"CENTRED", false}};
    Values all = with(with(dropped, two), {{"GATE", std::string("last")},
                                           {"ROW_SCALE", std::string("f32")},
                                           {"COLUMN_SCALE", std::string("f32")},
                                           {"HAS_BIAS", true},
                                           {"X_ROWS", true},
                                           {"Y_ROWS", true}});
    Values quantised{};
    if (backward) {
      all = with(all, {{"HAS_DCOLUMN_SCALE", true}, {"HAS_DX1", true}, {"HAS_MASK", false}});
    } else {
      quantised = {{"QUANTISED", std::string("e4m3")}, {"SCALES", std::string("row")}};
      all = with(with(all, quantised), {{"HAS_X1", true}});
    }
    return {norm("bf16", "bf16", 64, 8),
            norm("f16", "f32", 513, 1),
            norm("bf16", "bf16", 4096, 8),
            norm("f32", "f32", 8192, 4),
            norm("bf16", "f32", 12288, 8),
            norm("bf16", "bf16", 65536, 8),
            with(norm("bf16", "bf16", 8192, 8), with(gated, quantised)),
            with(norm(backward ? "f32" : "bf16", "f32", 4096, 4), all),
            with(norm("bf16", "bf16", 16384, 8), all)};
  }
  if (kernel == "column_sums") return {{{"SCALAR", std::string("bf16")}}};
  if (kernel == "activation_forward" || kernel == "activation_backward") {
    std::vector<Values> problems;
    for (const char* function : {"gelu", "gelu_tanh", "silu"}) {
      problems.push_back({{"SCALAR", std::string("bf16")},
                          {"FUNCTION", std::string(function)},
                          {"GATED", function != std::string("gelu")},
                          {"MOST_COLUMNS", std::int64_t{1024}}});
    }
    Values all{
        {"SCALAR", std::string("f32")}, {"FUNCTION", std::string("gelu")},  {"GATED", true},
        {"BIAS", std::string("bf16")},  {"MOST_COLUMNS", std::int64_t{64}}, {"ROW_DIMS", std::int64_t{2}}};
    if (kernel == "activation_backward") all.merge(Values{{"HAS_DBIAS", true}, {"HAS_DGATE_BIAS", true}});
    problems.push_back(all);
    return problems;
  }
  if (kernel == "rope") {
    const auto rope = [](const char* scalar, int head_dim, int rotary_dim, int vec, bool more) {
      return Values{{"SCALAR", std::string(scalar)},
                    {"HEAD_DIM", std::int64_t{head_dim}},
                    {"ROTARY_DIM", std::int64_t{rotary_dim}},
                    {"VEC", std::int64_t{vec}},
                    {"INTERLEAVED", more},
                    {"NORM", more},
                    {"VARLEN", more}};
    };
    return {rope("bf16", 128, 128, 8, false), rope("f16", 128, 32, 8, true), rope("f32", 10, 6, 1, true)};
  }
  if (kernel == "softmax_forward" || kernel == "softmax_backward") {
    std::vector<Values> problems;
    for (const std::int64_t columns : {512, 65536}) {
      problems.push_back(
          {{"SCALAR", std::string("bf16")}, {"MOST_COLUMNS", columns}, {"CAUSAL", columns == 512}});
      if (kernel == "softmax_forward") problems.back().merge(Values{{"HAS_MASK", true}});
      problems.push_back(
          {{"SCALAR", std::string("f32")}, {"MOST_COLUMNS", 4 * columns}, {"ROW_DIMS", std::int64_t{3}}});
    }
    return problems;
  }
  if (kernel == "cross_entropy_forward") {
    const auto forward = [](const char* scalar, int most_classes, int vec, Values problem) {
      problem.merge(Values{{"SCALAR", std::string(scalar)},
                           {"MOST_CLASSES", std::int64_t{most_classes}},
                           {"VEC", std::int64_t{vec}}});
      return problem;
    };
    const Values all{
        {"SMOOTHING", true}, {"SOFTCAP", true}, {"GRADIENT", true}, {"ROW_DIMS", std::int64_t{2}}};
    return {forward("bf16", 131072, 8, {}),
            forward("bf16", 131072, 8, {{"GRADIENT", true}}),
            forward("f16", 32768, 8, all),
            forward("f32", 131072, 4, all),
            forward("f16", 65536, 1, all),
            forward("bf16", 32768, 8, {{"PARTIALS", true}, {"SMOOTHING", true}, {"FEW_ROWS", true}})};
  }
  if (kernel == "cross_entropy_backward") {
    return {
        {{"SCALAR", std::string("bf16")}, {"MOST_CLASSES", std::int64_t{131072}}, {"VEC", std::int64_t{8}}},
        {{"SCALAR", std::string("f32")},
         {"MOST_CLASSES", std::int64_t{1024}},
         {"VEC", std::int64_t{4}},
         {"SOFTCAP", true},
         {"LABEL_BYTES", std::int64_t{4}}}};
  }
  if (kernel == "cross_entropy_combine" || kernel == "cross_entropy_sum")
    return {{{"ROW_DIMS", std::int64_t{3}}}};
  if (kernel == "mma_peak") return {{{"SCALAR", std::string("f16")}}, {{"SCALAR", std::string("bf16")}}};
  if (kernel == "copy") return {{{"VECTORS", std::int64_t{4}}}};
  return {};
}

std::vector<Job> jobs_of(const codegen::Manifest& manifest, bool full) {
  std::vector<Job> jobs;
  std::set<std::string> seen;
  const auto add = [&](const Values& problem, const Values& schedule, const Architecture& arch) {
    KernelSpec spec{manifest.kernel, problem, schedule};
    if (seen.insert(arch.name() + print(spec)).second) jobs.push_back({&manifest, std::move(spec), arch});
  };
  std::size_t turn = 0;
  for (const Values& named : problems_of(manifest.kernel)) {
    const Values problem = codegen::complete_problem(manifest, named);
    for (const std::string& name : manifest.architectures) {
      const Architecture arch = architecture(name);
      const Values usual = codegen::default_schedule(manifest, problem, arch);
      // Others stand in for attention_backward_fused where its rules leave no schedule.
      if (manifest.kernel != "attention_backward_fused" ||
          codegen::why_illegal(manifest, {manifest.kernel, problem, usual}, arch).empty())
        add(problem, usual, arch);
      for (const Values& schedule : codegen::legal_schedules(manifest, problem, arch)) {
        if (full || turn++ % 199 == 0) add(problem, schedule, arch);
      }
    }
  }
  return jobs;
}

std::string complaint(const compiler::Compiler& compiler, const codegen::TemplateStore& store,
                      const Job& job) {
  const std::string name = job.arch.name() + " " + print(job.spec) + ": ";
  try {
    const Cubin cubin = compiler.compile(codegen::render(store, *job.manifest, job.spec), job.arch);
    if (cubin.resources.spill_bytes != 0)
      return name + std::to_string(cubin.resources.spill_bytes) + " bytes of spills\n";
    if (!cubin.resources.advisories.empty()) return name + cubin.resources.advisories.front() + '\n';
    return {};
  } catch (const Error& error) {
    return name + error.what() + '\n';
  }
}

}  // namespace

TEST_CASE("shipped kernels neither spill nor draw performance advisories", "[sweep]") {
  SKIP_WITHOUT_NVRTC();
  const char* sweep = std::getenv("SPRUE_SWEEP");
  const bool full = sweep != nullptr && std::strcmp(sweep, "full") == 0;
  const codegen::TemplateStore store = codegen::TemplateStore::embedded();
  const std::vector<codegen::Manifest> manifests = codegen::manifests(store);
  const compiler::Compiler compiler(nvrtc_search());

  std::vector<Job> jobs;
  for (const codegen::Manifest& manifest : manifests) {
    INFO(manifest.kernel << " needs sample problems here");
    REQUIRE(!problems_of(manifest.kernel).empty());
    for (Job& job : jobs_of(manifest, full)) jobs.push_back(std::move(job));
  }
  REQUIRE(jobs.size() >= 100);

  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::string complaints;
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    workers.emplace_back([&] {
      for (std::size_t at; (at = next++) < jobs.size();) {
        const std::string text = complaint(compiler, store, jobs[at]);
        const std::lock_guard lock(mutex);
        complaints += text;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  INFO(jobs.size() << " kernels");
  CHECK(complaints == "");
}

}  // namespace sprue
