// Mistakes that a GPU may hide are reported, with the kernel and the line of PTX.
#include "emulator/fixture.h"

namespace emulator::test {

TEST_CASE("accesses outside of an allocation are reported, and those that cross its end") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { f32* x; int index; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) { p.x[p.index + int(threadIdx.x)] = 1.0f; })");
  struct Params {
    float* x;
    int index;
  };
  const Array<float> x(64);
  CHECK(kernel.fault_of({}, Params{x.data(), 32}) == "");
  CHECK_THAT(kernel.fault_of({}, Params{x.data(), 33}),
             Contains("0 bytes behind the end of the allocation") &&
                 Contains("of 256 bytes in kernel kernel, block [0, 0, 0], warp 0") &&
                 Contains("st.global."));
  CHECK_THAT(kernel.fault_of({}, Params{x.data(), -1}), Contains("4 bytes before the allocation"));
  CHECK_THAT(kernel.fault_of({}, Params{nullptr, 0}),
             Contains("global address 0x0 + 4 bytes is in no allocation"));
  CHECK_THAT(kernel.fault_of({}, Params{reinterpret_cast<float*>(reinterpret_cast<char*>(x.data()) + 2), 0}),
             Contains("is not aligned to 4 bytes"));
}

TEST_CASE("freed memory is no memory, and fresh memory is NaN") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { f32 *y, *x; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) { p.y[threadIdx.x] = p.x[threadIdx.x]; })");
  struct Params {
    float *y, *x;
  };
  const Array<float> y(32, 0.0f);
  float* freed;
  {
    const Array<float> x(32);
    CHECK(kernel.fault_of({}, Params{y.data(), x.data()}) == "");
    CHECK(y[0] != y[0]);
    freed = x.data();
  }
  CHECK_THAT(kernel.fault_of({}, Params{y.data(), freed}), Contains("is in no allocation"));
}

TEST_CASE("shared memory ends where the launch says, and starts as NaN") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { f32* y; int index; };
extern __shared__ f32 row[];
extern "C" __global__ void kernel(const __grid_constant__ Params p) { p.y[threadIdx.x] = row[p.index]; })");
  struct Params {
    float* y;
    int index;
  };
  const Array<float> y(32, 0.0f);
  CHECK(kernel.fault_of({.shared_bytes = 64}, Params{y.data(), 15}) == "");
  CHECK(y[31] != y[31]);
  CHECK_THAT(kernel.fault_of({.shared_bytes = 64}, Params{y.data(), 16}),
             Contains("is outside of the block's shared memory"));
  CHECK_THAT(kernel.fault_of({.shared_bytes = 64}, Params{y.data(), -1}),
             Contains("is outside of the block's shared memory"));
}

TEST_CASE("a barrier that not all threads reach is a deadlock that names the warps") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { int threads; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  if (threadIdx.x / 32 != 1) asm volatile("bar.sync 3, %0;" :: "r"(p.threads) : "memory");
})");
  CHECK(kernel.fault_of({.threads = 96}, 64) == "");
  CHECK_THAT(kernel.fault_of({.threads = 96}, 96),
             Contains("deadlock in kernel kernel") && Contains("barrier 3 has 64 of 96 threads") &&
                 Contains("warp 2, lanes ffffffff") && Contains("bar.sync 3, "));
  CHECK_THAT(kernel.fault_of({.threads = 96}, 40), Contains("are not a multiple of 32"));
}

TEST_CASE("cp.async that is not waited for has not arrived") {
  SKIP_WITHOUT_NVRTC();
  const std::string text = R"(struct Params { f32 *y, *x; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ f32 row[32];
  const u32 to = __cvta_generic_to_shared(row + threadIdx.x);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(p.x + threadIdx.x) : "memory");
  asm volatile("cp.async.commit_group;" ::: "memory");
  asm volatile("cp.async.wait_group PENDING;" ::: "memory");
  p.y[threadIdx.x] = row[threadIdx.x];
})";
  struct Params {
    float *y, *x;
  };
  const Array<float> y(32, 0.0f), x(32, 7.0f);
  std::string waits = text, does_not = text;
  waits.replace(waits.find("PENDING"), 7, "0");
  does_not.replace(does_not.find("PENDING"), 7, "1");
  Kernel(waits).launch({}, Params{y.data(), x.data()});
  CHECK(y.values() == std::vector<float>(32, 7.0f));
  Kernel(does_not).launch({}, Params{y.data(), x.data()});
  CHECK(y[0] != y[0]);
}

TEST_CASE("an mbarrier's arrivals are counted, and memory that is none is no mbarrier") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { int init; int arrivals; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ u64 barrier;
  const u32 at = __cvta_generic_to_shared(&barrier);
  if (threadIdx.x == 0 && p.init) asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(at), "r"(p.init) : "memory");
  __syncthreads();
  if (threadIdx.x < p.arrivals) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(at) : "memory");
  asm volatile("{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0;\n@!p bra again;\n}" :: "r"(at) : "memory");
})");
  struct Params {
    int init, arrivals;
  };
  CHECK(kernel.fault_of({}, Params{20, 20}) == "");
  CHECK_THAT(kernel.fault_of({}, Params{0, 1}), Contains("there is no initialised mbarrier"));
  CHECK_THAT(kernel.fault_of({}, Params{20, 19}), Contains("deadlock") && Contains("mbarrier.try_wait"));
}

TEST_CASE("a late warp that misses a phase of an mbarrier is found with a seed") {
  SKIP_WITHOUT_NVRTC();
  // Warp 0 fills one place again and again; warp 1 gives it back for warp 2 as well.
  const Kernel kernel(R"(struct Params { int waits_for_warp_2; };
__device__ void wait(u32 barrier, u32 parity) {
  asm volatile("{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra again;\n}" :: "r"(barrier), "r"(parity) : "memory");
}
__device__ void arrive(u32 barrier) {
  if (threadIdx.x % 32 == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ u64 barriers[2];
  const u32 full = __cvta_generic_to_shared(barriers), empty = full + 8;
  if (threadIdx.x < 2) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(full + 8 * threadIdx.x) : "memory");
  __syncthreads();
  for (u32 i = 0; i < 9; ++i) {
    if (threadIdx.x < 32) {
      wait(empty, i & 1 ^ 1);
      arrive(full);
      continue;
    }
    wait(full, i & 1);
    if (p.waits_for_warp_2) asm volatile("bar.sync 1, 64;" ::: "memory");
    if (threadIdx.x < 64) arrive(empty);
  }
})");
  const auto faults = [&](int waits_for_warp_2) {
    int count = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
      count += kernel.fault_of({.threads = 96, .seed = seed}, waits_for_warp_2) != "";
    return count;
  };
  CHECK(kernel.fault_of({.threads = 96}, 0) == "");  // by luck
  CHECK(faults(0) > 0);
  CHECK(faults(1) == 0);
}

TEST_CASE("trap and a loop without end are reported") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { int x; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) { if (threadIdx.x == p.x) __trap(); })");
  CHECK(kernel.fault_of({}, 32) == "");
  CHECK_THAT(kernel.fault_of({}, 5), StartsWith("trap in kernel kernel") && Contains("lanes 00000020"));
}

TEST_CASE("PTX that is not understood is refused with its line") {
  const std::string head = ".version 9.0\n.target sm_90\n.address_size 64\n";
  const auto refusal = [&](const std::string& body) -> std::string {
    try {
      const Module module = parse(head + ".visible .entry kernel()\n{\n.reg .b32 %r<4>;\n" + body + "\n}\n");
      decode(module.functions.at(0), module, {}, nullptr);
      return "";
    } catch (const Refused& refused) {
      return refused.what();
    }
  };
  CHECK(refusal("add.s32 %r1, %r2, 1;\nret;") == "");
  CHECK(refusal("frobnicate.s32 %r1;") == "line 7: frobnicate.s32 is not supported");
  CHECK(refusal("add.s33 %r1, %r2, 1;") == "line 7: add.s33 names no type");
  CHECK(refusal("\nadd.s32 %r1, %q2, 1;") == "line 8: add.s32 names '%q2', which is not declared");
  CHECK(refusal("bra nowhere;") == "line 7: bra names a label that is not there");
  CHECK_THAT(refusal("add.s32 %r1 %r2;"), Contains("line 7: expected ,, found '%r2'"));
}

}  // namespace emulator::test
