// Compiling with the NVRTC of this machine: cubins, resources, errors, cancellation, threads.
#include <atomic>
#include <stdexcept>
#include <thread>

#include "compiler/compiler.h"
#include "sprue/error.h"
#include "support/catch.h"
#include "support/nvrtc.h"

using namespace sprue;
using namespace sprue::compiler;

namespace {

const Compiler& nvrtc() {
  static const Compiler compiler(nvrtc_search());
  return compiler;
}

Source source(const std::string& text) {
  return {{"scale", {}, {}}, text, {}};
}

const char* const kScale = R"(struct Params { float* x; float factor; };
extern "C" __global__ void scale(const __grid_constant__ Params params) {
  __shared__ float row[256];
  row[threadIdx.x] = params.x[threadIdx.x];
  __syncthreads();
  params.x[threadIdx.x] = row[255 - threadIdx.x] * params.factor;
})";

const char* const kSpilling =
    R"(extern "C" __global__ void __launch_bounds__(1024, 2) scale(float* x, const float* y) {
  float a[128];
#pragma unroll
  for (int i = 0; i < 128; i++) a[i] = x[i * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll 1
  for (int r = 0; r < 10; r++) {
#pragma unroll
    for (int i = 0; i < 128; i++) a[i] = a[i] * a[(i * 7 + 3) % 128] + y[i];
  }
#pragma unroll
  for (int i = 0; i < 128; i++) x[i * 1024 + threadIdx.x] = a[i];
})";

CompileError error_of(const std::string& text, const char* arch) {
  try {
    nvrtc().compile(source(text), architecture(arch));
  } catch (const CompileError& error) {
    return error;
  }
  FAIL("the source was accepted");
  throw std::logic_error("not reached");
}

}  // namespace

TEST_CASE("a kernel compiles for several architectures") {
  SKIP_WITHOUT_NVRTC();
  for (const char* arch : {"sm_80", "sm_90", "sm_90a"}) {
    const Cubin cubin = nvrtc().compile(source(kScale), architecture(arch));
    CHECK(cubin.image.substr(1, 3) == "ELF");
    CHECK(cubin.resources.registers > 0);
    CHECK(cubin.resources.spill_bytes == 0);
    CHECK(cubin.resources.static_shared_bytes == 1024);
    CHECK(cubin.resources.advisories.empty());
    CHECK(cubin.compile_ms > 0);
    CHECK_THAT(cubin.log, Contains(arch));
  }
}

TEST_CASE("every architecture that NVRTC is said to build for is one that it builds for") {
  SKIP_WITHOUT_NVRTC();
  for (const std::string& arch : nvrtc().architectures()) {
    CHECK_FALSE(nvrtc().compile(source(kScale), architecture(arch)).image.empty());
  }
}

TEST_CASE("the same source gives the same cubin, and another architecture another one") {
  SKIP_WITHOUT_NVRTC();
  const Cubin first = nvrtc().compile(source(kScale), architecture("sm_80"));
  const Compiler again(nvrtc_search());
  CHECK(again.compile(source(kScale), architecture("sm_80")).image == first.image);
  CHECK(again.compile(source(kScale), architecture("sm_86")).image != first.image);
}

TEST_CASE("spills are counted") {
  SKIP_WITHOUT_NVRTC();
  const Resources resources = nvrtc().compile(source(kSpilling), architecture("sm_80")).resources;
  CHECK(resources.registers == 32);
  CHECK(resources.spill_bytes > 0);
  CHECK(resources.stack_bytes > 0);
}

TEST_CASE("ptxas's performance advisories are kept") {
  SKIP_WITHOUT_NVRTC();
  const Cubin cubin = nvrtc().compile(source(R"(extern "C" __global__ void scale(float* x) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
  x[threadIdx.x] *= 2;
})"),
                                      architecture("sm_90a"));
  REQUIRE(cubin.resources.advisories.size() == 1);
  CHECK_THAT(cubin.resources.advisories[0], Contains("(C7508)"));
}

TEST_CASE("a compile error carries the numbered source, the log, the options and a reproduction") {
  SKIP_WITHOUT_NVRTC();
  const std::string text = "extern \"C\" __global__ void scale(float* x) {\n  x[0] = missing;\n}\n";
  const CompileError error = error_of(text, "sm_80");
  CHECK_THAT(error.what(), StartsWith("[scale] NVRTC " + nvrtc().version() +
                                      " cannot compile this source for sm_80: "
                                      "scale.cu(2): error: identifier \"missing\" is undefined\n"));
  CHECK_THAT(
      error.what(),
      Contains("      1 | extern \"C\" __global__ void scale(float* x) {\n>     2 |   x[0] = missing;\n"));
  CHECK_THAT(error.what(), EndsWith("as scale.cu and run: " + error.reproduce));
  CHECK(error.reproduce ==
        "nvcc -cubin -o /dev/null --gpu-architecture=sm_80 --std=c++20 --ptxas-options=-v scale.cu");
  CHECK(error.source == text);
  CHECK_THAT(error.log, Contains("1 error detected"));
  CHECK_THAT(error.options,
             StartsWith("--gpu-architecture=sm_80 --std=c++20 ") && Contains("--modify-stack-limit=false"));
}

TEST_CASE("an error of ptxas is reported too") {
  SKIP_WITHOUT_NVRTC();
  const CompileError error =
      error_of("extern \"C\" __global__ void scale() { asm volatile(\"bogus.op;\"); }", "sm_80");
  CHECK_THAT(error.what(), Contains("error   : "));
  CHECK_THAT(error.what(), Contains("nvcc -cubin"));
}

TEST_CASE("an architecture that NVRTC cannot build for is refused with those that it can") {
  SKIP_WITHOUT_NVRTC();
  CHECK_THAT(error_of(kScale, "sm_30").what(),
             Contains("sm_80, ") && Contains("sm_90a") && Contains("but is sm_30"));
  CHECK_THAT(error_of(kScale, "sm_80a").what(), Contains("but is sm_80a"));
}

TEST_CASE("a compile is cancelled before it starts, and while it runs") {
  SKIP_WITHOUT_NVRTC();
  CHECK_THROWS_AS(nvrtc().compile(source(kScale), architecture("sm_80"), [] { return true; }),
                  CancelledError);
  std::atomic<int> polls = 0;
  const auto third_time = [&] { return ++polls >= 3; };
  CHECK_THROWS_WITH(nvrtc().compile(source(kScale), architecture("sm_80"), third_time),
                    "[scale] compiling for sm_80 was cancelled");
  CHECK_FALSE(nvrtc().compile(source(kScale), architecture("sm_80"), [] { return false; }).image.empty());
}

TEST_CASE("what the cancel function throws reaches the caller") {
  SKIP_WITHOUT_NVRTC();
  std::atomic<int> polls = 0;
  const auto throws = [&]() -> bool {
    if (++polls == 2) throw std::runtime_error("deadline");
    return false;
  };
  CHECK_THROWS_WITH(nvrtc().compile(source(kScale), architecture("sm_80"), throws), "deadline");
}

TEST_CASE("threads compile at the same time") {
  SKIP_WITHOUT_NVRTC();
  const std::string expected = nvrtc().compile(source(kScale), architecture("sm_90")).image;
  std::atomic<int> equal = 0;
  const auto work = [&] {
    for (int i = 0; i < 3; ++i)
      equal += nvrtc().compile(source(kScale), architecture("sm_90")).image == expected;
  };
  std::thread first(work), second(work);
  first.join();
  second.join();
  CHECK(equal == 6);
}

TEST_CASE("the options in the key depend on the architecture alone") {
  CHECK(compile_options(architecture("sm_90a")) ==
        std::vector<std::string>{"--gpu-architecture=sm_90a", "--std=c++20", "--ptxas-options=-v"});
}
