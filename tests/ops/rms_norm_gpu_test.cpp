// rms_norm on the GPU against double precision: row lengths, dtypes, strides, alignment, schedules.
#include <fmt/format.h>

#include <optional>

#include "driver/device.h"
#include "ops/fixture.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/rms_norm.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

struct RmsNormCase {
  std::vector<std::int64_t> shape = {};  ///< [..., hidden]
  DType dtype = DType::bf16;
  bool weight = true;
  Layout x_layout = {}, y_layout = {};
  bool in_place = false;
  float eps = 1e-6f, magnitude = 1;

  std::string print() const {
    return fmt::format("{}, {}{}{}, x offset {} padding {}, y offset {} padding {}, magnitude {}",
                       Extents(shape).print(), name_of(dtype), weight ? "" : ", no weight",
                       in_place ? ", in place" : "", x_layout.offset, x_layout.padding, y_layout.offset,
                       y_layout.padding, magnitude);
  }
};

/// One call of rms_norm with random tensors on the GPU.
class RmsNormCall {
 public:
  explicit RmsNormCall(const RmsNormCase& c)
      : case_(c),
        x_values_(reference::random_normal(Extents(c.shape).elements(), 1, c.dtype, c.magnitude)),
        weight_values_(c.weight ? reference::random_normal(c.shape.back(), 2, c.dtype)
                                : std::vector<float>()),
        x_(c.dtype, c.shape, c.x_layout),
        y_(c.dtype, c.shape, c.y_layout),
        weight_(c.dtype, {c.shape.back()}) {
    x_.write(x_values_);
    if (c.weight) weight_.write(weight_values_);
  }

  RmsNorm args() const {
    RmsNorm args{.y = case_.in_place ? x_.tensor() : y_.tensor(), .x = x_.tensor(), .eps = case_.eps};
    if (case_.weight) args.weight = weight_.tensor();
    return args;
  }

  void poison() { y_.poison(); }
  std::vector<std::byte> result_bytes() const { return (case_.in_place ? x_ : y_).read_bytes(); }

  /// "" or what is wrong.
  std::string fault() const {
    const std::int64_t hidden = case_.shape.back();
    const reference::RmsNormInputs in{static_cast<std::int64_t>(x_values_.size()) / hidden, hidden, x_values_,
                                      weight_values_, case_.eps};
    const reference::Comparison y =
        reference::compare((case_.in_place ? x_ : y_).read(), reference::rms_norm(in),
                           reference::naive_rms_norm(in, case_.dtype));
    if (!y.passed()) return y.print();
    if (!x_.intact() || !y_.intact() || !weight_.intact()) return "something was written outside of a tensor";
    return "";
  }

 private:
  RmsNormCase case_;
  std::vector<float> x_values_, weight_values_;
  DeviceTensor x_, y_, weight_;
};

std::string fault_of(Runtime& runtime, const RmsNormCase& c) {
  RmsNormCall call(c);
  rms_norm(runtime, call.args());
  driver::synchronize_device();
  return call.fault();
}

/// With addresses that are aligned like the case's tensors; for prepare() only.
RmsNorm call_of(const RmsNormCase& c) {
  const auto tensor = [&](std::uintptr_t region, const std::vector<std::int64_t>& shape,
                          const Layout& layout) {
    const std::uintptr_t address =
        (region << 40) + static_cast<std::size_t>(layout.offset) * size_of(c.dtype);
    return Tensor(reinterpret_cast<void*>(address), c.dtype, extents_of(shape, layout));
  };
  RmsNorm args{.y = tensor(c.in_place ? 1 : 2, c.shape, c.in_place ? c.x_layout : c.y_layout),
               .x = tensor(1, c.shape, c.x_layout)};
  if (c.weight) args.weight = tensor(3, {c.shape.back()}, {});
  return args;
}

void check_all(Runtime& runtime, const std::vector<RmsNormCase>& cases) {
  std::vector<RmsNorm> calls;
  for (const RmsNormCase& c : cases) calls.push_back(call_of(c));
  prepare_all(runtime, calls);
  for (const RmsNormCase& c : cases) {
    INFO(c.print());
    CHECK(fault_of(runtime, c) == "");
  }
}

}  // namespace

TEST_CASE("rms_norm: every row length, dtype, with and without weight", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<RmsNormCase> cases;
  for (const std::int64_t hidden : {1, 2, 7, 8, 64, 513, 1000, 4096, 8192, 16384, 65537}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      cases.push_back(
          {.shape = {hidden > 10000 ? 5 : 67, hidden}, .dtype = dtype, .weight = hidden % 3 != 1});
    }
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("rms_norm: very long rows", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), {{.shape = {2, 262144}, .dtype = DType::f32}, {.shape = {3, 1048576}}});
}

TEST_CASE("rms_norm: any number of rows and dimensions", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), {{.shape = {512}},
                               {.shape = {1, 512}},
                               {.shape = {2, 3, 5, 512}},
                               {.shape = {2, 2, 3, 2, 3, 512}},
                               {.shape = {100'003, 8}},
                               {.shape = {7, 10'001, 16}, .dtype = DType::f32}});
}

TEST_CASE("rms_norm: no rows are no launch", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const auto before = shared_runtime().counters().launches;
  CHECK(fault_of(shared_runtime(), {.shape = {0, 512}}) == "");
  CHECK(fault_of(shared_runtime(), {.shape = {3, 0, 512}}) == "");
  CHECK(shared_runtime().counters().launches == before);
}

TEST_CASE("rms_norm: strides and alignment", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  const Layout swapped{.order = {1, 0, 2}}, usual{};
  std::vector<RmsNormCase> cases;
  for (const std::int64_t hidden : {7, 513, 1024}) {
    const std::vector<std::int64_t> shape = {5, 6, hidden};
    for (const DType dtype : {DType::f32, DType::bf16}) {
      cases.push_back({.shape = shape, .dtype = dtype, .x_layout = swapped, .y_layout = usual});
      cases.push_back({.shape = shape, .dtype = dtype, .x_layout = usual, .y_layout = swapped});
      cases.push_back(
          {.shape = shape, .dtype = dtype, .x_layout = {.padding = 8}, .y_layout = {.padding = 24}});
      for (const std::int64_t elements : {1, 2, 4}) {
        cases.push_back({.shape = shape, .dtype = dtype, .x_layout = {.offset = elements}, .y_layout = {}});
        cases.push_back({.shape = shape, .dtype = dtype, .x_layout = {}, .y_layout = {.padding = elements}});
      }
    }
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("rms_norm: in place", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  std::vector<RmsNormCase> cases;
  for (const std::int64_t hidden : {8, 513, 8192, 65537}) {
    cases.push_back({.shape = {33, hidden}, .in_place = true});
    cases.push_back(
        {.shape = {3, 11, hidden}, .dtype = DType::f32, .x_layout = {.padding = 8}, .in_place = true});
  }
  check_all(shared_runtime(), cases);
}

TEST_CASE("rms_norm: eps counts when x is small, and large x does not overflow", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  check_all(shared_runtime(), {{.shape = {20, 1024}, .magnitude = 1e-3f},
                               {.shape = {20, 1024}, .dtype = DType::f16, .eps = 1e-2f, .magnitude = 0.05f},
                               {.shape = {20, 1024}, .dtype = DType::f32, .eps = 0, .magnitude = 1e-10f},
                               {.shape = {20, 1024}, .dtype = DType::f16, .magnitude = 1e4f},
                               {.shape = {20, 1024}, .dtype = DType::bf16, .magnitude = 1e15f}});
}

TEST_CASE("rms_norm: the same call gives the same bits", "[gpu]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {513, 8192, 65537}) {
    RmsNormCall call({.shape = {300, hidden}});
    rms_norm(shared_runtime(), call.args());
    const auto first = call.result_bytes();
    for (int repetition = 0; repetition < 20; ++repetition) {
      call.poison();
      rms_norm(shared_runtime(), call.args());
      CHECK(call.result_bytes() == first);
    }
  }
}

TEST_CASE("rms_norm: every schedule computes the same", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t hidden : {8, 520, 4096, 16384}) {
    const DType dtype = hidden == 520 ? DType::f32 : DType::bf16;
    RmsNormCall call({.shape = {37, hidden}, .dtype = dtype});
    const Values problem = {{"SCALAR", std::string(name_of(dtype))},
                            {"HIDDEN", hidden},
                            {"HAS_WEIGHT", true},
                            {"ALIGNMENT", std::int64_t{16}},
                            {"ROW_DIMS", std::int64_t{1}}};
    for (const Values& schedule : built_schedules("rms_norm", problem)) {
      Runtime runtime(with_schedule("rms_norm", problem, schedule));
      INFO("hidden " << hidden << " | " << print(schedule));
      CHECK_THAT(prepare(runtime, call.args()).spec, EndsWith("| " + print(schedule)));
      call.poison();
      rms_norm(runtime, call.args());
      driver::synchronize_device();
      CHECK(call.fault() == "");
    }
  }
}

}  // namespace sprue::test
