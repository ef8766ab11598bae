// Loading and launching: results, attributes, limits, graphs.
#include "driver/launch.h"

#include <vector>

#include "driver/kernels.h"
#include "driver/memory.h"
#include "driver/stream.h"
#include "sprue/error.h"

using namespace sprue;
using namespace sprue::driver;

namespace {

template <class T>
std::vector<T> read(const DeviceBuffer& buffer) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  buffer.copy_to_host(values.data(), buffer.bytes());
  return values;
}

struct Pointer {
  void* data;
};

}  // namespace

TEST_CASE("a kernel runs and gives the right result", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const Module module = load_kernel(kScaleAndAdd);
  constexpr int kCount = 1000;
  std::vector<float> values(kCount);
  for (int i = 0; i < kCount; ++i) values[i] = 0.5f * static_cast<float>(i);
  DeviceBuffer y(kCount * sizeof(float));
  y.copy_from_host(values.data(), y.bytes());
  const StreamHandle stream;
  ScaleAndAdd params = {y.data(), kCount, 4.0f};
  launch({.kernel = module.kernel(), .grid = {8, 1, 1}, .threads = 128, .stream = stream}, &params);
  params = {};  // copied by the launch
  synchronize(stream);
  values = read<float>(y);
  for (int i = 0; i < kCount; ++i) REQUIRE(values[i] == 3.0f * static_cast<float>(i));
}

TEST_CASE("the driver's view of a kernel", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  Module module = load_kernel(kScaleAndAdd);
  const int device = current_device();
  const KernelAttributes attributes = module.attributes(device);
  CHECK(attributes.registers > 0);
  CHECK(attributes.local_bytes == 0);
  CHECK(attributes.static_shared_bytes == 0);
  CHECK(attributes.most_threads == 1024);
  CHECK(module.blocks_per_multiprocessor(device, 1024, 0) >= 1);
  CHECK(module.blocks_per_multiprocessor(device, 128, 0) >= 8);
  Module moved = std::move(module);
  CHECK(moved.kernel() != nullptr);
  CHECK(module.kernel() == nullptr);
}

TEST_CASE("bytes that are no cubin, and a kernel that is not in it, are refused", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  CHECK_THROWS_WITH(Module(std::string(100, 'x'), "kernel"), Contains("CUDA_ERROR_INVALID_IMAGE"));
  const compiler::Compiler compiler(nvrtc_search());
  const Source source = {{"kernel", {}, {}}, kScaleAndAdd, {}};
  const Cubin cubin = compiler.compile(source, device_info(current_device()).architecture);
  CHECK_THROWS_WITH(Module(cubin.image, "other"), Contains("the cubin must have a kernel named other"));
}

TEST_CASE("all of the device's shared memory can be used, and not more", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const int device = current_device();
  const int limit = device_info(device).shared_bytes_per_block;
  const Module module = load_kernel(R"(struct Params { int* out; int last; };
extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  extern __shared__ int row[];
  row[params.last - threadIdx.x] = threadIdx.x;
  __syncthreads();
  params.out[threadIdx.x] = row[params.last - 31 + threadIdx.x];
})",
                                    limit);
  DeviceBuffer out(32 * sizeof(int));
  const struct {
    void* out;
    int last;
  } params = {out.data(), limit / 4 - 1};
  launch({.kernel = module.kernel(), .threads = 32, .shared_bytes = static_cast<unsigned>(limit)}, &params);
  const std::vector<int> values = read<int>(out);
  for (int i = 0; i < 32; ++i) CHECK(values[i] == 31 - i);
  CHECK(module.blocks_per_multiprocessor(device, 32, limit) == 1);
  CHECK_THROWS_WITH(
      module.prepare(device, limit + 1024),
      Contains("kernel needs " + std::to_string(limit + 1024) + " bytes of dynamic shared memory") &&
          Contains("allows " + std::to_string(limit)));
}

TEST_CASE("a launch that the driver refuses is described", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const Module module = load_kernel(kScaleAndAdd);
  const ScaleAndAdd params = {nullptr, 0, 0.0f};
  CHECK_THROWS_WITH(launch({.kernel = module.kernel(), .grid = {0, 1, 1}, .threads = 64}, &params),
                    StartsWith("cuLaunchKernel failed: CUDA_ERROR_INVALID_VALUE (1)") &&
                        Contains("grid [0, 1, 1], 64 threads, 0 bytes"));
  try {
    launch({.kernel = module.kernel(), .grid = {1u << 20, 1, 1}, .threads = 1024, .cooperative = true},
           &params);
    FAIL("more blocks than fit at once were accepted");
  } catch (const CudaError& error) {
    CHECK(error.code != 0);
    CHECK_THAT(error.what(), StartsWith("cuLaunchKernelEx failed: ") && EndsWith(", cooperative"));
  }
}

TEST_CASE("a cooperative launch has all its blocks at once", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const Module module = load_kernel(R"(struct Params { volatile unsigned* arrived; };
extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  atomicAdd(const_cast<unsigned*>(params.arrived), 1u);
  while (*params.arrived < gridDim.x) {}
})");
  DeviceBuffer arrived(sizeof(unsigned));
  arrived.fill(0);
  const auto blocks = static_cast<unsigned>(device_info(current_device()).multiprocessors);
  const Pointer params = {arrived.data()};
  launch({.kernel = module.kernel(), .grid = {blocks, 1, 1}, .threads = 1, .cooperative = true}, &params);
  CHECK(read<unsigned>(arrived)[0] == blocks);
}

TEST_CASE("blocks are launched in clusters", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  SKIP_BELOW_SM_90();
  const Module module = load_kernel(R"(struct Params { unsigned* out; };
extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  unsigned rank, blocks;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
  params.out[blockIdx.x] = 10 * blocks + rank;
})");
  DeviceBuffer out(8 * sizeof(unsigned));
  const Pointer params = {out.data()};
  CHECK(module.clusters_at_once(current_device(), 32, 0) == 0);  // the launch asks for them, not the kernel
  launch({.kernel = module.kernel(), .grid = {8, 1, 1}, .threads = 32, .cluster = {4, 1, 1}}, &params);
  CHECK(read<unsigned>(out) == std::vector<unsigned>{40, 41, 42, 43, 40, 41, 42, 43});
}

TEST_CASE("a programmatic dependent launch sees what the kernel before it wrote", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  SKIP_BELOW_SM_90();
  const Module module = load_kernel(R"(struct Params { unsigned* value; };
extern "C" __global__ void kernel(const __grid_constant__ Params params) {
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
  const unsigned before = *params.value;
  __nanosleep(1000);
  *params.value = before + 1;
})");
  DeviceBuffer value(sizeof(unsigned));
  value.fill(0);
  const StreamHandle stream;
  const Pointer params = {value.data()};
  for (int i = 0; i < 100; ++i) {
    launch({.kernel = module.kernel(), .stream = stream, .programmatic = true}, &params);
  }
  synchronize(stream);
  CHECK(read<unsigned>(value)[0] == 100);
}

TEST_CASE("a launch is captured into a graph and runs when the graph does", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const Module module = load_kernel(kScaleAndAdd);
  DeviceBuffer y(4 * sizeof(float));
  y.fill(0);
  const StreamHandle stream;
  const ScaleAndAdd params = {y.data(), 4, 2.0f};
  CHECK_FALSE(is_capturing(stream));
  begin_capture(stream);
  CHECK(is_capturing(stream));
  launch({.kernel = module.kernel(), .threads = 32, .stream = stream}, &params);
  const Graph graph = end_capture(stream);
  CHECK_FALSE(is_capturing(stream));
  CHECK(read<float>(y) == std::vector<float>{0, 0, 0, 0});
  graph.launch(stream);
  graph.launch(stream);
  synchronize(stream);
  CHECK(read<float>(y) == std::vector<float>{0, 3, 6, 9});
}

TEST_CASE("loading a module does not break a capture", "[gpu][emulated]") {
  SKIP_WITHOUT_GPU_AND_NVRTC();
  const Module first = load_kernel(kScaleAndAdd);
  DeviceBuffer y(4 * sizeof(float));
  y.fill(0);
  const StreamHandle stream;
  const ScaleAndAdd params = {y.data(), 4, 1.0f};
  begin_capture(stream);
  const Module second = load_kernel(kScaleAndAdd);
  launch({.kernel = second.kernel(), .threads = 32, .stream = stream}, &params);
  end_capture(stream).launch(stream);
  synchronize(stream);
  CHECK(read<float>(y) == std::vector<float>{0, 1, 2, 3});
}
