// Lanes that part and meet, what they tell each other, and barriers.
#include <numeric>

#include "emulator/fixture.h"

namespace emulator::test {

struct Out {
  std::uint32_t* y;
};

TEST_CASE("lanes that go different ways meet again") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  u32 sum = 0;
  for (u32 i = 0; i <= threadIdx.x; ++i) sum += i % 3 == 0 ? 10 * i : i;
  if (threadIdx.x % 2) { if (threadIdx.x % 3) sum *= 2; else sum += 1000; }
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  if (threadIdx.x == 7) return;
  p.y[threadIdx.x] = sum + __popc(__ballot_sync(0xffffff7fu, threadIdx.x < 20));
})");
  const Array<std::uint32_t> y(32, 0);
  kernel.launch({}, Out{y.data()});
  const auto own = [](std::uint32_t t) {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i <= t; ++i) sum += i % 3 == 0 ? 10 * i : i;
    if (t % 2 != 0) sum = t % 3 != 0 ? sum * 2 : sum + 1000;
    return sum;
  };
  for (std::uint32_t t = 0; t < 32; ++t) CHECK(y[t] == (t == 7 ? 0 : own(t) + own(t ^ 1) + 19));
}

TEST_CASE("lanes of a warp may wait for each other") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  volatile u32* const flag = p.y;
  if (threadIdx.x < 31) { while (*flag == 0) {} } else { *flag = 5; }
  __syncwarp();
  p.y[threadIdx.x] = threadIdx.x;
})");
  const Array<std::uint32_t> y(32, 0);
  kernel.launch({}, Out{y.data()});
  for (std::uint32_t t = 0; t < 32; ++t) CHECK(y[t] == t);
}

TEST_CASE("lanes that take long are not forgotten while the others of their warp wait for them") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  u32 x = threadIdx.x;
  if (threadIdx.x < 8) for (int i = 0; i < 20000; ++i) { x = x * 1664525u + 1013904223u; asm volatile("" : "+r"(x)); }
  p.y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, x, 16);
})");
  const Array<std::uint32_t> y(32, 0);
  kernel.launch({}, Out{y.data()});
  for (std::uint32_t t = 0; t < 16; ++t) CHECK(y[t] == t + 16);
}

TEST_CASE("shuffles, votes, matches and reductions") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  const u32 t = threadIdx.x, all = 0xffffffffu;
  u32 r[9] = {__shfl_up_sync(all, t, 3), __shfl_down_sync(all, t, 3, 16), __shfl_xor_sync(all, t, 5, 8), __shfl_sync(all, t, 2, 8),
    __ballot_sync(all, t % 3 == 0), __match_any_sync(all, t / 4), __reduce_add_sync(all, t), u32(__reduce_max_sync(all, int(t) - 16)), 0};
  asm volatile("{\n.reg .pred q;\nelect.sync _|q, 0xffffffff;\nselp.u32 %0, 1, 0, q;\n}" : "=r"(r[8]));
  for (int i = 0; i < 9; ++i) p.y[32 * i + t] = r[i];
})");
  const Array<std::uint32_t> y(9 * 32, 0);
  kernel.launch({}, Out{y.data()});
  for (std::uint32_t t = 0; t < 32; ++t) {
    CHECK(y[t] == (t < 3 ? t : t - 3));
    CHECK(y[32 + t] == (t % 16 + 3 < 16 ? t + 3 : t));
    CHECK(y[64 + t] == (t ^ 5));
    CHECK(y[96 + t] == t / 8 * 8 + 2);
    CHECK(y[128 + t] == 0x49249249u);
    CHECK(y[160 + t] == 15u << (t / 4 * 4));
    CHECK(y[192 + t] == 496);
    CHECK(y[224 + t] == 15);
    CHECK(y[256 + t] == (t == 0 ? 1 : 0));
  }
}

TEST_CASE("block barriers, named ones, and counts of threads") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ u32 row[200];
  const u32 t = threadIdx.x;
  row[t] = t;
  const u32 even = __syncthreads_count(t % 2 == 0);
  u32 x = row[199 - t] + even + (__syncthreads_or(t == 100) ? 1000 : 0) + (__syncthreads_and(t < 199) ? 5000 : 0);
  if (t < 64) { row[t] = 7; asm volatile("bar.arrive 1, 128;" ::: "memory"); }
  else if (t < 128) { asm volatile("bar.sync 1, 128;" ::: "memory"); x += row[t - 64]; }
  p.y[t] = x;
})");
  const Array<std::uint32_t> y(200, 0);
  kernel.launch({.threads = 200}, Out{y.data()});
  for (std::uint32_t t = 0; t < 200; ++t) CHECK(y[t] == 199 - t + 100 + 1000 + (t >= 64 && t < 128 ? 7 : 0));
}

TEST_CASE("blocks of a cluster read each other's shared memory") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ u32 value;
  u32 rank, x, at = __cvta_generic_to_shared(&value);
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  value = 100 * blockIdx.x;
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
  asm volatile("{\n.reg .u32 a;\nmapa.shared::cluster.u32 a, %1, %2;\nld.shared::cluster.u32 %0, [a];\n}" : "=r"(x) : "r"(at), "r"(rank ^ 1) : "memory");
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
  p.y[blockIdx.x] = x + rank;
})");
  const Array<std::uint32_t> y(6, 0);
  kernel.launch({.blocks = 6, .cluster = 2}, Out{y.data()});
  CHECK(y.values() == std::vector<std::uint32_t>{100, 1, 300, 201, 500, 401});
}

TEST_CASE("blocks of a cluster send each other words, which a barrier counts") {
  SKIP_WITHOUT_NVRTC();
  const Kernel kernel(R"(struct Params { u32* y; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ u32 words[2];
  __shared__ unsigned long long barrier;
  u32 rank, word_at = __cvta_generic_to_shared(words), at = __cvta_generic_to_shared(&barrier);
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (threadIdx.x == 0) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(at) : "memory");
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
  if (threadIdx.x == 0) asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 8;" :: "r"(at) : "memory");
  if (threadIdx.x < 2)
    asm volatile("{\n.reg .u32 a, b;\nmapa.shared::cluster.u32 a, %0, %3;\nmapa.shared::cluster.u32 b, %1, %3;\n"
                 "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [a], %2, [b];\n}"
                 :: "r"(word_at + 4 * rank), "r"(at), "r"(10 * blockIdx.x + threadIdx.x), "r"(threadIdx.x) : "memory");
  asm volatile("{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0;\n@!p bra.uni again;\n}" :: "r"(at) : "memory");
  if (threadIdx.x < 2) p.y[2 * blockIdx.x + threadIdx.x] = words[threadIdx.x];
})");
  const Array<std::uint32_t> y(8, 0);
  kernel.launch({.blocks = 4, .threads = 32, .cluster = 2}, Out{y.data()});
  CHECK(y.values() == std::vector<std::uint32_t>{0, 10, 1, 11, 20, 30, 21, 31});
}

}  // namespace emulator::test
