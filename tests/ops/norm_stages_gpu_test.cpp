// layer_norm, rms_norm and their gradients with rows in shared memory, one for a block or a cluster, or many
// that it walks over, on the GPU against double precision.
#include <fmt/format.h>

#include "driver/device.h"
#include "ops/fixture.h"
#include "ops/norm_case.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

/// How rows are walked over.
struct Walk {
  std::int64_t cluster = 1, stages = 1, threads = 128;
  bool keeps_row = true, walks = true;
  std::string sums = "registers";

  std::string print() const {
    return fmt::format("CLUSTER={} STAGES={} WALKS={} THREADS_PER_ROW={}, row {}, sums in {}", cluster,
                       stages, walks, threads, keeps_row ? "kept" : "read again", sums);
  }
  RuntimeOptions forward(const NormCase& c) const {
    return with_schedule("norm_forward", {{"HIDDEN", c.hidden()}},
                         {{"THREADS_PER_ROW", threads},
                          {"ROWS_PER_BLOCK", std::int64_t{1}},
                          {"CLUSTER", cluster},
                          {"STAGES", stages},
                          {"WALKS", walks},
                          {"MOST_KEPT", std::int64_t{keeps_row ? 64 : 16}}});
  }
  RuntimeOptions backward(const NormCase& c) const {
    const bool many = c.two_outputs || c.column_scale;
    return with_schedule("norm_backward", {{"HIDDEN", c.hidden()}},
                         {{"THREADS_PER_ROW", threads},
                          {"ROWS_PER_BLOCK", std::int64_t{1}},
                          {"CLUSTER", cluster},
                          {"STAGES", stages},
                          {"KEEPS_ROW", keeps_row},
                          {"SUMS", sums},
                          {"SHARED_WORDS", std::int64_t{sums != "shared" ? 0
                                                        : many           ? 5
                                                                         : 2}}});
  }
};

bool has_clusters() {
  return driver::device_info(driver::current_device()).architecture.sm() >= 90;
}

/// More rows than blocks that run at once, whatever the schedule.
std::int64_t many_rows() {
  return 15 * driver::device_info(driver::current_device()).multiprocessors + 7;
}

void check_forward(const NormCase& c, const Walk& walk) {
  INFO(c.print() << ", " << walk.print());
  Runtime runtime(walk.forward(c));
  CHECK(forward_fault(runtime, c) == "");
  CHECK_THAT(forward_spec(runtime, c), Contains(fmt::format("STAGES={}", walk.stages)) &&
                                           Contains(fmt::format("WALKS={}", walk.walks)));
}

void check_backward(const NormCase& c, const Walk& walk) {
  INFO(c.print() << ", " << walk.print());
  Runtime runtime(walk.backward(c));
  CHECK(backward_fault(runtime, c) == "");
  CHECK_THAT(backward_spec(runtime, c), Contains(fmt::format("STAGES={}", walk.stages)));
  if (!c.in_place) CHECK(repetition_fault(runtime, c, 2) == "");
}

}  // namespace

TEST_CASE("norms: rows in shared memory", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const std::int64_t rows = many_rows();
  const std::vector<NormCase> cases = {
      {.shape = {rows, 4096}},
      {.shape = {rows, 4104}, .centred = false, .residual = bf16, .in_place = true},
      {.shape = {rows, 4096}, .residual = f32, .in_place = true, .dropout = 0.25f, .mask = true},
      {.shape = {3, rows / 3, 4080}, .dtype = f16, .weight = f32, .x1 = true, .layout = {.order = {1, 0, 2}}},
      {.shape = {rows, 4096},
       .dtype = f32,
       .weight = {},
       .mean = -1000,
       .layout = {.padding = 8, .offset = 8}},
      {.shape = {rows, 4088}, .gate = Gate::last, .two_outputs = true},
      {.shape = {rows, 4096}, .residual = bf16, .quantised = DType::e4m3, .gate = Gate::first},
      {.shape = {rows, 4096}, .row_scale = f32, .column_scale = bf16, .y_rows = true}};
  const std::vector<Walk> walks = {{.stages = 1},
                                   {.stages = 1, .walks = false},
                                   {.cluster = 2, .stages = 1, .keeps_row = false, .walks = false},
                                   {.stages = 2, .threads = 256, .keeps_row = false},
                                   {.stages = 3, .threads = 64, .keeps_row = false},
                                   {.cluster = 2, .stages = 4, .threads = 64},
                                   {.cluster = 4, .stages = 2, .threads = 64},
                                   {.cluster = 2, .stages = 3, .threads = 64, .keeps_row = false}};
  for (const NormCase& c : cases) {
    for (const Walk& walk : walks) {
      if (walk.cluster == 1 || has_clusters()) check_forward(c, walk);
    }
  }
}

TEST_CASE("norms: gradients of rows in shared memory", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const std::int64_t rows = many_rows();
  const std::vector<NormCase> cases = {{.shape = {rows, 2048}},
                                       {.shape = {rows, 2104}, .centred = false, .in_place = true},
                                       {.shape = {rows, 2056}, .residual = bf16, .in_place = true},
                                       {.shape = {3, rows / 3, 2040},
                                        .dtype = f16,
                                        .weight = f32,
                                        .residual = f32,
                                        .layout = {.order = {1, 0, 2}}},
                                       {.shape = {rows, 2048},
                                        .dtype = f32,
                                        .weight = {},
                                        .mean = 1000,
                                        .layout = {.padding = 8, .offset = 8}},
                                       {.shape = {rows, 2072}, .centred = false, .gate = Gate::last},
                                       {.shape = {rows, 2048}, .gate = Gate::first, .two_outputs = true}};
  const std::vector<Walk> walks = {
      {.stages = 1, .threads = 256},
      {.stages = 3, .threads = 256, .keeps_row = false},
      {.cluster = 2, .stages = 2, .keeps_row = false},
      {.cluster = 2, .stages = 4, .threads = 64, .keeps_row = false, .sums = "shared"},
      {.cluster = 4, .stages = 1, .threads = 64},
      {.stages = 2, .keeps_row = false, .sums = "shared"},
      {.stages = 3, .threads = 32, .keeps_row = false, .sums = "shared"}};
  for (const NormCase& c : cases) {
    for (const Walk& walk : walks) {
      if (walk.cluster == 1 || has_clusters()) check_backward(c, walk);
    }
  }
}

TEST_CASE("norms: moments of rows with a mean", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const float mean : {-3000.0f, 10.0f}) {
    for (const std::int64_t hidden : {1, 33, 1000, 2056, 16384}) {
      const NormCase c{.shape = {5, hidden}, .dtype = f32, .weight = f32, .mean = mean};
      INFO(c.print());
      CHECK(forward_fault(shared_runtime(), c) == "");
      CHECK(backward_fault(shared_runtime(), c) == "");
    }
  }
}

}  // namespace sprue::test
