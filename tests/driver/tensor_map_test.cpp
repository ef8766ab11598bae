// Tensor maps: the checks, which need no driver, and a tile copied with one.
#include "driver/tensor_map.h"

#include <cstdint>
#include <vector>

#include "driver/kernels.h"
#include "driver/launch.h"
#include "driver/memory.h"
#include "sprue/error.h"

using namespace sprue;
using namespace sprue::driver;

namespace {

alignas(16) char data[16];

TensorMapSpec matrix(std::vector<std::int64_t> shape, std::vector<std::int64_t> stride) {
  return {.data = data, .dtype = DType::bf16, .extents = Extents(shape, stride), .box = {64, 64}};
}

void check_refused(const TensorMapSpec& spec, const std::string& message) {
  CHECK_THROWS_AS(encode_tensor_map(spec), ArgumentError);
  CHECK_THROWS_WITH(encode_tensor_map(spec), "[tensor_map] " + message);
}

}  // namespace

TEST_CASE("what the hardware cannot do is refused with what was given") {
  const TensorMapSpec good = matrix({100, 200}, {200, 1});
  check_refused(matrix({}, {}), "the tensor must have 1 to 5 dimensions, but has 0");
  check_refused(matrix({1, 1, 1, 1, 1, 8}, {8, 8, 8, 8, 8, 1}),
                "the tensor must have 1 to 5 dimensions, but has 6");
  check_refused(matrix({0, 200}, {200, 1}), "extent 0 must be 1 to 2^32, but is 0");
  check_refused(matrix({100, 200}, {204, 1}),
                "stride 0 must be a multiple of 16 bytes below 2^40, but is 408 bytes");
  check_refused(matrix({100, 200}, {-8, 1}),
                "stride 0 must be a multiple of 16 bytes below 2^40, but is -16 bytes");
  check_refused(matrix({100, 200}, {200, 2}), "the last stride must be 1, but is 2");

  TensorMapSpec spec = good;
  spec.data = data + 2;
  CHECK_THROWS_WITH(encode_tensor_map(spec),
                    StartsWith("[tensor_map] data must be 16-byte aligned, but is 0x"));
  spec = good;
  spec.dtype = DType::i32;
  check_refused(spec, "dtype must be f32, f16 or bf16, but is i32");
  spec = good;
  spec.box = {257, 64};
  check_refused(spec, "box extent 0 must be 1 to 256 elements, but is 257");
  spec.box = {64};
  check_refused(spec, "box extent 1 must be 1 to 256 elements, but is 0");
  spec.box = {64, 4};
  check_refused(spec, "a row of the box must be a multiple of 16 bytes, but is 8 bytes");
  spec = good;
  spec.swizzle_bytes = 16;
  check_refused(spec, "swizzle_bytes must be 0, 32, 64 or 128, but is 16");
  spec.swizzle_bytes = 64;
  check_refused(spec, "a row of the box must be at most swizzle_bytes = 64, but is 128 bytes");
  spec = good;
  spec.l2_bytes = 32;
  check_refused(spec, "l2_bytes must be 0, 64, 128 or 256, but is 32");
}

TEST_CASE("a tile is copied through a tensor map, with zeros outside the tensor", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  SKIP_BELOW_SM_90();
  const Module module = load_kernel(R"(struct alignas(128) TensorMap { unsigned char opaque[128]; };
struct Params { TensorMap map; float* out; int row, column; };

extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  __shared__ alignas(128) float tile[4 * 8];
  __shared__ alignas(8) unsigned long long barrier;
  const unsigned barrier_at = static_cast<unsigned>(__cvta_generic_to_shared(&barrier));
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier_at));
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier_at), "r"(4 * 8 * 4) : "memory");
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            static_cast<unsigned>(__cvta_generic_to_shared(tile))),
        "l"(&params.map), "r"(params.column), "r"(params.row), "r"(barrier_at)
        : "memory");
  }
  __syncthreads();
  unsigned done = 0;
  while (!done) {
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(barrier_at)
                 : "memory");
  }
  params.out[threadIdx.x] = tile[threadIdx.x];
})");
  std::vector<float> values(10 * 12);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  DeviceBuffer in(values.size() * sizeof(float)), out(32 * sizeof(float));
  in.copy_from_host(values.data(), in.bytes());

  TensorMapSpec spec = matrix({10, 12}, {12, 1});
  spec.data = in.data();
  spec.dtype = DType::f32;
  spec.box = {4, 8};
  const struct {
    TensorMap map;
    void* out;
    int row, column;
  } params = {encode_tensor_map(spec), out.data(), 8, 4};
  launch({.kernel = module.kernel(), .threads = 32}, &params);
  std::vector<float> tile(32);
  out.copy_to_host(tile.data(), out.bytes());
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 8; ++column) {
      const float expected = row < 2 ? values[(8 + row) * 12 + 4 + column] : 0.0f;
      CHECK(tile[row * 8 + column] == expected);
    }
  }
}
