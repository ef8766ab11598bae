// What the operators give to a launch, seen by the fake driver: specialisation, argument struct, grid.
#include <cstring>

#include "runtime/fake_cuda.h"
#include "runtime/fixture.h"
#include "sprue/ops.h"

using namespace sprue;

namespace {

constexpr auto f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16;

/// A runtime with the shipped templates and no disk cache.
struct Operators {
  Operators() {
    fake_cuda = {};
    fake_cuda_set_device(0);
  }
  static RuntimeOptions options() {
    RuntimeOptions options;
    options.disk_cache = false;
    options.nvrtc = nvrtc_search().nvrtc;
    return options;
  }
  /// The problem of the kernel that was loaded last.
  std::string problem() {
    const std::string spec = runtime.impl().loaded().back().spec;
    return spec.substr(0, spec.find(" |"));
  }
  Runtime runtime{options()};
};

struct RmsNormParams {
  void* y;
  const void* x;
  const void* weight;
  long long rows, extent[5], x_stride[5], y_stride[5];
  float eps;
};

template <class Params>
Params launched() {
  static_assert(sizeof(Params) <= sizeof fake_cuda.params);
  Params params;
  std::memcpy(&params, fake_cuda.params, sizeof params);
  return params;
}

template <class Params>
Params rms_norm_params(Operators& ops, const RmsNorm& args) {
  fake_cuda.params_bytes = [](const char*) { return sizeof(Params); };
  rms_norm(ops.runtime, args);
  return launched<Params>();
}

void* address(std::uintptr_t value) {
  return reinterpret_cast<void*>(value);
}

std::vector<long long> first(const long long* values, int count) {
  return {values, values + count};
}
using Extent = std::vector<long long>;

}  // namespace

TEST_CASE("rms_norm: contiguous rows merge into one dimension") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const RmsNorm args = {.y = {address(0x200000), bf16, {2, 3, 5, 64}},
                        .x = Tensor(address(0x100000), bf16, {2, 3, 5, 64}),
                        .weight = Tensor(address(0x300000), bf16, {64}),
                        .eps = 0.5f};
  const auto params = rms_norm_params<RmsNormParams>(ops, args);
  CHECK(ops.problem() == "rms_norm ALIGNMENT=16 HAS_WEIGHT=true HIDDEN=64 ROW_DIMS=1 SCALAR=bf16");
  CHECK(params.y == args.y.data);
  CHECK(params.x == args.x.data);
  CHECK(params.weight == args.weight.data);
  CHECK(params.rows == 30);
  CHECK(params.extent[0] == 30);
  CHECK(params.x_stride[0] == 64);
  CHECK(params.y_stride[0] == 64);
  CHECK(params.eps == 0.5f);
  CHECK(fake_cuda.blocks >= 1);
  CHECK(fake_cuda.blocks <= 30);
}

TEST_CASE("rms_norm: rows merge only where both x and y allow it; extents of 1 vanish") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const auto params = rms_norm_params<RmsNormParams>(
      ops, {.y = {address(0x200000), f32, {4, 1, 2, 3, 8}, {100, 7, 50, 16, 1}},
            .x = Tensor(address(0x100000), f32, {4, 1, 2, 3, 8}, {48, 99, 24, 8, 1})});
  CHECK(ops.problem() == "rms_norm ALIGNMENT=8 HAS_WEIGHT=false HIDDEN=8 ROW_DIMS=2 SCALAR=f32");
  CHECK(params.rows == 24);
  CHECK(first(params.extent, 2) == Extent{8, 3});
  CHECK(first(params.x_stride, 2) == Extent{24, 8});
  CHECK(first(params.y_stride, 2) == Extent{50, 16});
}

TEST_CASE("rms_norm: a vector is one row") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const Tensor x(address(0x100002), f16, {64});
  const auto params = rms_norm_params<RmsNormParams>(ops, {.y = x, .x = x});
  CHECK(ops.problem() == "rms_norm ALIGNMENT=2 HAS_WEIGHT=false HIDDEN=64 ROW_DIMS=1 SCALAR=f16");
  CHECK(params.rows == 1);
  CHECK(params.extent[0] == 1);
  CHECK(fake_cuda.blocks == 1);
}

TEST_CASE("rms_norm: one kernel serves every number of rows, eps and stride of one alignment") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  for (const std::int64_t rows : {1, 7, 4096}) {
    const Tensor y(address(0x200000), f16, {rows, 64}, {128, 1});
    rms_norm(ops.runtime,
             {.y = y, .x = Tensor(address(0x8000000), f16, {rows, 64}, {64, 1}), .eps = 1e-3f * rows});
  }
  CHECK(ops.runtime.counters().compiles == 1);
  CHECK(ops.runtime.counters().memory_misses == 1);
  CHECK(ops.runtime.counters().launches == 3);
}

TEST_CASE("rms_norm: too many rows for one grid") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const std::int64_t rows = std::int64_t{1} << 45;
  const Tensor y(address(0x100000), f16, {rows, 8});
  CHECK_THROWS_WITH(rms_norm(ops.runtime, {.y = y, .x = y}),
                    Contains("[rms_norm] one launch must need at most 2147483647 blocks"));
}

TEST_CASE("rms_norm: prepare() loads the very kernel of a later launch") {
  SKIP_WITHOUT_NVRTC();
  Operators ops;
  const Tensor later(nullptr, f16, {7, 64}), now(address(0x100000), f16, {7, 64});
  CHECK(prepare(ops.runtime, RmsNorm{.y = later, .x = later}).origin == "compiled");
  fake_cuda.capturing = true;
  CHECK_NOTHROW(rms_norm(ops.runtime, {.y = now, .x = now}));
  const Tensor odd(address(0x100002), f16, {7, 64});
  CHECK_THROWS_AS(rms_norm(ops.runtime, {.y = odd, .x = odd}), CaptureError);
}
