// softmax and softmax_backward on the GPU against double precision: row lengths, dtypes, masks, layouts,
// schedules.
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/scalar.h"
#include "reference/softmax.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

struct SoftmaxCase {
  std::int64_t batch = 2, queries = 5, columns = 64;
  DType dtype = DType::bf16;
  float scale = 1, magnitude = 1;
  bool mask = false, same_mask = false, causal = false;
  bool in_place = false;
  Layout layout = {};

  std::string print() const {
    return fmt::format("[{}, {}, {}] {}, scale {}, magnitude {}{}{}{}{}, offset {} padding {}", batch,
                       queries, columns, name_of(dtype), scale, magnitude, mask ? ", mask" : "",
                       same_mask ? " of all sequences" : "", causal ? ", causal" : "",
                       in_place ? ", in place" : "", layout.offset, layout.padding);
  }
};

/// One call each way with random tensors on the GPU.
class SoftmaxCall {
 public:
  explicit SoftmaxCall(const SoftmaxCase& c)
      : case_(c),
        x_values_(reference::random_normal(c.batch * c.queries * c.columns, 1, c.dtype, c.magnitude)),
        dy_values_(reference::random_normal(c.batch * c.queries * c.columns, 2, c.dtype)),
        x_(c.dtype, shape(), c.layout),
        y_(c.dtype, shape(), c.layout),
        dy_(c.dtype, shape()),
        dx_(c.dtype, shape(), c.layout) {
    if (c.mask) {
      mask_values_ =
          reference::random_normal((c.same_mask ? 1 : c.batch) * c.queries * c.columns, 3, DType::f32);
      for (float& value : mask_values_) value = value > 0.5f ? 1.0f : 0.0f;
      for (std::int64_t i = 0; i < c.columns; ++i)
        mask_values_[static_cast<std::size_t>(i)] = 255;  // a whole row
      mask_.emplace(DType::u8, std::vector{c.same_mask ? 1 : c.batch, c.queries, c.columns});
      mask_->write(mask_values_);
      x_values_[0] = NAN;  // hidden
    }
    x_.write(x_values_);
    std::vector<float> dy = dy_values_;
    for (std::size_t i = 0; c.causal && i < dy.size(); ++i) {  // nothing may depend on what is hidden
      const auto column = static_cast<std::int64_t>(i) % c.columns,
                 row = static_cast<std::int64_t>(i) / c.columns;
      if (column > row % c.queries + c.columns - c.queries) dy[i] = NAN, dy_values_[i] = 0;
    }
    dy_.write(dy);
  }

  Softmax forward() const {
    Softmax args{.y = case_.in_place ? x_.tensor() : y_.tensor(),
                 .x = x_.tensor(),
                 .scale = case_.scale,
                 .causal = case_.causal};
    if (mask_) args.mask = mask_->tensor();
    return args;
  }
  SoftmaxBackward backward() const {
    return {.dx = case_.in_place ? dy_.tensor() : dx_.tensor(),
            .dy = dy_.tensor(),
            .y = forward().y,
            .scale = case_.scale,
            .causal = case_.causal};
  }
  void run(Runtime& runtime) {
    softmax(runtime, forward());
    softmax_backward(runtime, backward());
    driver::synchronize_device();
  }
  std::vector<std::byte> result_bytes() const {
    auto bytes = result().read_bytes();
    const auto gradient = (case_.in_place ? dy_ : dx_).read_bytes();
    bytes.insert(bytes.end(), gradient.begin(), gradient.end());
    return bytes;
  }

  /// "" or what is wrong.
  std::string fault() const {
    const SoftmaxCase& c = case_;
    const reference::SoftmaxInputs in{c.batch,      c.queries, c.columns, x_values_,
                                      mask_values_, c.scale,   c.causal};
    const auto y = result().read();
    const auto forward = reference::compare(y, reference::softmax(in), reference::naive_softmax(in, c.dtype));
    if (!forward.passed()) return "y: " + forward.print();
    const auto backward = reference::compare_gradient(
        (c.in_place ? dy_ : dx_).read(), reference::softmax_backward(y, dy_values_, c.columns, c.scale),
        reference::naive_softmax_backward(y, dy_values_, c.columns, c.scale, c.dtype));
    if (!backward.passed()) return "dx: " + backward.print();
    const bool intact = x_.intact() && y_.intact() && dy_.intact() && dx_.intact();
    return intact ? "" : "something was written outside of a tensor";
  }

 private:
  std::vector<std::int64_t> shape() const { return {case_.batch, case_.queries, case_.columns}; }
  const DeviceTensor& result() const { return case_.in_place ? x_ : y_; }

  SoftmaxCase case_;
  std::vector<float> x_values_, dy_values_, mask_values_;
  DeviceTensor x_, y_, dy_, dx_;
  std::optional<DeviceTensor> mask_;
};

void check_all(Runtime& runtime, const std::vector<SoftmaxCase>& cases) {
  std::vector<std::string> faults(cases.size());
  in_parallel(cases.size(), [&](std::size_t i) {
    SoftmaxCall call(cases[i]);
    call.run(runtime);
    faults[i] = call.fault();
  });
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].print());
    CHECK(faults[i] == "");
  }
}

std::int64_t most_columns(const SoftmaxCase& c) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(c.columns)));
}

/// Shared memory of a block of softmax_backward, which needs most.
std::int64_t staged_bytes(const SoftmaxCase& c, int cluster, int stages) {
  constexpr std::int64_t kOthers = 1024;
  return stages * 2 * most_columns(c) * static_cast<std::int64_t>(size_of(c.dtype)) / cluster + kOthers;
}

/// Options that give the kernels of a case that many rows in shared memory.
RuntimeOptions staged(const SoftmaxCase& c, int cluster, int stages, bool walks) {
  const Values problem{{"SCALAR", std::string(name_of(c.dtype))}, {"MOST_COLUMNS", most_columns(c)}};
  const Values schedule{{"THREADS_PER_ROW", std::int64_t{128}},
                        {"ROWS_PER_BLOCK", std::int64_t{1}},
                        {"CLUSTER", std::int64_t{cluster}},
                        {"STAGES", std::int64_t{stages}},
                        {"WALKS", walks}};
  RuntimeOptions options = with_schedule("softmax_forward", problem, schedule);
  options.tuned.push_back(with_schedule("softmax_backward", problem, schedule).tuned.front());
  return options;
}

constexpr DType kDtypes[] = {DType::f32, DType::f16, DType::bf16};

}  // namespace

TEST_CASE("softmax: row lengths, dtypes and masks", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<SoftmaxCase> cases;
  for (const std::int64_t columns : {1, 2, 7, 8, 64, 120, 513, 1000, 2048}) {
    const DType dtype = kDtypes[cases.size() % 3];
    cases.push_back({.queries = 9, .columns = columns, .dtype = dtype});
    cases.push_back(
        {.columns = columns, .dtype = dtype, .scale = 0.3f, .mask = true, .same_mask = columns % 2 == 0});
    cases.push_back({.queries = 7, .columns = columns, .dtype = dtype, .causal = true});
    cases.push_back(
        {.columns = columns, .dtype = dtype, .scale = -2, .mask = true, .causal = true, .in_place = true});
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("softmax: layouts and magnitudes", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<SoftmaxCase> cases;
  for (const DType dtype : kDtypes) {
    cases.push_back(
        {.columns = 96, .dtype = dtype, .magnitude = 100, .layout = {.order = {1, 0, 2}, .padding = 8}});
    cases.push_back(
        {.columns = 96, .dtype = dtype, .mask = true, .same_mask = true, .layout = {.offset = 1}});
    cases.push_back(
        {.columns = 36, .dtype = dtype, .scale = 0, .causal = true, .layout = {.padding = 4, .offset = 4}});
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("softmax: long rows", "[gpu]") {
  SKIP_WITHOUT_GPU();
  std::vector<SoftmaxCase> cases;
  for (const std::int64_t columns : {4096, 8200, 16384, 32768, 50257, 65537, 131072, 262144, 600000}) {
    for (const DType dtype : {DType::bf16, DType::f32}) {
      cases.push_back({.queries = 3,
                       .columns = columns,
                       .dtype = dtype,
                       .mask = columns % 3 == 0,
                       .causal = columns % 3 == 1});
    }
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("softmax: a mask that broadcasts over heads", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  constexpr std::int64_t kBatch = 2, kHeads = 3, kQueries = 5, kColumns = 24;
  const auto x_values = reference::random_normal(kBatch * kHeads * kQueries * kColumns, 1, DType::f32);
  auto mask_values = reference::random_normal(kBatch * kQueries * kColumns, 2, DType::f32);
  for (float& value : mask_values) value = value > 0 ? 1.0f : 0.0f;
  DeviceTensor x(DType::f32, {kBatch, kHeads, kQueries, kColumns}),
      y(DType::f32, {kBatch, kHeads, kQueries, kColumns}), mask(DType::u8, {kBatch, 1, kQueries, kColumns});
  x.write(x_values);
  mask.write(mask_values);
  softmax(shared_runtime(), {.y = y.tensor(), .x = x.tensor(), .mask = mask.tensor()});
  driver::synchronize_device();
  std::vector<float> expanded;
  constexpr std::int64_t kPlane = kQueries * kColumns;
  for (std::int64_t i = 0; i < kBatch * kHeads; ++i) {
    const auto first = mask_values.begin() + i / kHeads * kPlane;
    expanded.insert(expanded.end(), first, first + kPlane);
  }
  const auto truth = reference::softmax(
      {.batch = kBatch * kHeads, .queries = kQueries, .columns = kColumns, .x = x_values, .mask = expanded});
  CHECK(reference::compare(y.read(), truth, 1e-5).passed());
}

TEST_CASE("softmax: gradients in the place of the result", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  SoftmaxCall call({.columns = 513});
  call.run(shared_runtime());
  const auto bytes = call.result_bytes();
  SoftmaxBackward args = call.backward();
  args.dx = call.forward().y;
  softmax_backward(shared_runtime(), args);
  driver::synchronize_device();
  const auto again = call.result_bytes();  // y and dx, which are the same now
  const std::size_t half = bytes.size() / 2;
  CHECK(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(half),
                   bytes.begin() + static_cast<std::ptrdiff_t>(half)));
}

TEST_CASE("softmax: infinities and NaN", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  constexpr std::int64_t kColumns = 40;
  std::vector<float> values(4 * kColumns, 1);
  for (std::size_t c = 0; c < kColumns; ++c) values[c] = -INFINITY;
  values[kColumns + 3] = INFINITY;
  values[2 * kColumns + 39] = NAN;
  values[3 * kColumns] = -INFINITY;
  DeviceTensor x(DType::f32, {4, kColumns}), y(DType::f32, {4, kColumns});
  x.write(values);
  softmax(shared_runtime(), {.y = y.tensor(), .x = x.tensor()});
  driver::synchronize_device();
  const auto result = y.read();
  for (std::size_t c = 0; c < kColumns; ++c) {
    CHECK(result[c] == 0);
    CHECK(std::isnan(result[kColumns + c]));
    CHECK(std::isnan(result[2 * kColumns + c]));
    CHECK(result[3 * kColumns + c] == Approx(c == 0 ? 0 : 1.0 / 39));
  }
}

TEST_CASE("softmax: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t columns : {513, 65536, 262144}) {
    std::vector<std::byte> first;
    for (int i = 0; i < 5; ++i) {
      SoftmaxCall call({.queries = 40, .columns = columns});
      call.run(shared_runtime());
      if (i == 0) first = call.result_bytes();
      CHECK((call.result_bytes() == first));
    }
  }
}

TEST_CASE("softmax: rows wait in shared memory, and blocks walk over them", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const driver::DeviceInfo& device = driver::device_info(driver::current_device());
  const std::int64_t rows = 15 * device.multiprocessors + 7;  // more than blocks, whatever the schedule
  const std::vector<SoftmaxCase> cases = {
      {.batch = 1, .queries = rows, .columns = 4096},
      {.batch = 1, .queries = rows, .columns = 4088, .mask = true, .in_place = true},
      {.batch = 3,
       .queries = rows / 3,
       .columns = 2056,
       .causal = true,
       .layout = {.order = {1, 0, 2}, .padding = 8}},
      {.batch = 1,
       .queries = rows,
       .columns = 2048,
       .dtype = DType::f32,
       .layout = {.padding = 4, .offset = 4}},
      {.batch = 1, .queries = 700, .columns = 520, .dtype = DType::f16, .mask = true, .causal = true}};
  for (const SoftmaxCase& c : cases) {
    INFO(c.print());
    for (const int cluster : {1, 2, 4}) {
      if (cluster > 1 && (device.architecture.sm() < 90 || c.columns < 1024)) continue;
      std::vector<std::byte> first;
      for (const int turn : {0, 1, 2, 3, 4}) {
        const int stages = std::max(1, turn);
        INFO("cluster " << cluster << ", " << stages << " stages" << (turn > 0 ? ", walks" : ""));
        if (staged_bytes(c, cluster, stages) > device.shared_bytes_per_block) continue;
        Runtime runtime(staged(c, cluster, stages, turn > 0));
        SoftmaxCall call(c);
        call.run(runtime);
        if (first.empty()) {
          CHECK(call.fault() == "");
          first = call.result_bytes();
        }
        CHECK((call.result_bytes() == first));
        for (const KernelInfo& kernel : {prepare(runtime, call.forward()), prepare(runtime, call.backward())})
          CHECK_THAT(kernel.spec, Contains(fmt::format("STAGES={}", stages)) && Contains(fmt::format("WALKS={}", turn > 0)));
      }
    }
  }
}

TEST_CASE("softmax: every schedule computes the same", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const Values problem{{"SCALAR", std::string("bf16")}, {"MOST_COLUMNS", std::int64_t{2048}}};
  for (const std::string kernel : {"softmax_forward", "softmax_backward"}) {
    for (const Values& schedule : built_schedules(kernel, problem)) {
      Runtime runtime(with_schedule(kernel, problem, schedule));
      SoftmaxCall call({.columns = 2000});
      call.run(runtime);
      CHECK(call.fault() == "");
    }
  }
}

}  // namespace sprue::test
