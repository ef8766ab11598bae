// mma.sync, ldmatrix and wgmma against plain loops.
#include "emulator/fixture.h"
#include "emulator/half.h"
#include "emulator/tensor_map.h"

namespace emulator::test {
namespace {

using u16 = std::uint16_t;

struct Params {
  float* d;
  u16 *a, *b;
};

/// d[i][j] = sum over k of a(i, k) * b(k, j)
template <class A, class B>
std::vector<float> product(int m, int n, int k, const A& a, const B& b) {
  std::vector<float> d;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0;
      for (int l = 0; l < k; ++l) sum += a(i, l) * b(l, j);
      d.push_back(sum);
    }
  }
  return d;
}

}  // namespace

TEST_CASE("mma.sync of fragments loaded by ldmatrix, of both types, is a matrix product") {
  SKIP_WITHOUT_NVRTC();
  // a [16, 16] and b [16, 8], row by row.
  const std::string text = R"(struct Params { f32* d; u16 *a, *b; };
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ __align__(16) u16 a[256], b[128];
  const u32 t = threadIdx.x;
  for (int i = t; i < 256; i += 32) a[i] = p.a[i];
  for (int i = t; i < 128; i += 32) b[i] = p.b[i];
  __syncwarp();
  u32 r[4], s[2];
  f32 d[4] = {};
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(u32(__cvta_generic_to_shared(a + t % 16 * 16 + t / 16 * 8))) : "memory");
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(s[0]), "=r"(s[1]) : "r"(u32(__cvta_generic_to_shared(b + t % 16 * 8))) : "memory");
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]), "r"(s[0]), "r"(s[1]));
  for (int i = 0; i < 4; ++i) p.d[(t / 4 + i / 2 * 8) * 8 + t % 4 * 2 + i % 2] = d[i];
})";
  for (const bool is_bf16 : {false, true}) {
    std::string of_type = text;
    while (of_type.find("TYPE") != of_type.npos)
      of_type.replace(of_type.find("TYPE"), 4, is_bf16 ? "bf16" : "f16");
    const Array<float> d(128, 0.0f);
    const Array<u16> a(256), b(128);
    for (int i = 0; i < 256; ++i) a[i] = is_bf16 ? to_bf16(sample(i)) : to_f16(sample(i));
    for (int i = 0; i < 128; ++i) b[i] = is_bf16 ? to_bf16(sample(5 * i)) : to_f16(sample(5 * i));
    Kernel(of_type).launch({}, Params{d.data(), a.data(), b.data()});
    CHECK(d.values() == product(
                            16, 8, 16, [](int i, int k) { return sample(16 * i + k); },
                            [](int k, int j) { return sample(5 * (8 * k + j)); }));
  }
}

TEST_CASE("wgmma multiplies swizzled tiles, also transposed ones") {
  SKIP_WITHOUT_NVRTC();
  // a [64, 16] and b [8, 16] or, transposed, [16, 64], of which the first 8 columns count: swizzled by hand.
  const std::string text = R"(struct Params { f32* d; u16 *a, *b; };
__device__ u64 descriptor(const void* p, int width) {
  return u64(u32(__cvta_generic_to_shared(p)) >> 4) | u64(8 * width / 16) << 32 | u64(width == 128 ? 1 : width == 64 ? 2 : 3) << 62;
}
__device__ u32 swizzled(u32 byte, int width) { return byte ^ (byte >> 7 & (width / 16 - 1)) << 4; }
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  __shared__ __align__(1024) unsigned char a[64 * 32], b[16 * 128];
  const u32 t = threadIdx.x;
  for (int i = t; i < 1024; i += 128) *(u16*)(a + swizzled(2 * i, 32)) = p.a[i];
  for (int i = t; i < COUNT; i += 128) *(u16*)(b + swizzled(2 * i, WIDTH)) = p.b[i];
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  f32 d[4] = {1, 1, 1, 1};
  asm volatile("wgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, TRANS;\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(descriptor(a, 32)), "l"(descriptor(b, WIDTH)) : "memory");
  for (int i = 0; i < 4; ++i) p.d[(t / 32 * 16 + t % 32 / 4 + i / 2 * 8) * 8 + t % 4 * 2 + i % 2] = d[i];
})";
  for (const bool transposed : {false, true}) {
    std::string of_kind = text;
    const auto set = [&](const std::string& name, const std::string& value) {
      while (of_kind.find(name) != of_kind.npos) of_kind.replace(of_kind.find(name), name.size(), value);
    };
    set("COUNT", transposed ? "1024" : "128");
    set("WIDTH", transposed ? "128" : "32");
    set("TRANS", transposed ? "1" : "0");
    const Array<float> d(512, 0.0f);
    const Array<u16> a(1024), b(1024);
    for (int i = 0; i < 1024; ++i) a[i] = to_f16(sample(i)), b[i] = to_f16(sample(3 * i));
    Kernel(of_kind).launch({.threads = 128}, Params{d.data(), a.data(), b.data()});
    std::vector<float> expected = product(
        64, 8, 16, [](int i, int k) { return sample(16 * i + k); },
        [&](int k, int j) { return sample(3 * (transposed ? 64 * k + j : 16 * j + k)); });
    for (float& x : expected) x += 1;  // d is added to
    CHECK(d.values() == expected);
  }
}

}  // namespace emulator::test
