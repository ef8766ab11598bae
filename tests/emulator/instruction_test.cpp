// Instructions of one thread against the host's arithmetic.
#include <bit>
#include <cmath>

#include "emulator/fixture.h"
#include "emulator/half.h"

namespace emulator::test {
namespace {

using u32 = std::uint32_t;

struct Params {
  u32 *y, *x;
};

/// What `code` makes of a, b and c in `r`, for several values of them.
std::vector<u32> results(const std::string& code, const std::vector<u32>& inputs) {
  const Array<u32> y(inputs.size() / 3, 0), x(inputs.size());
  std::copy(inputs.begin(), inputs.end(), x.data());
  const Kernel kernel(
      "struct Params { u32 *y, *x; };\nextern \"C\" __global__ void kernel(const __grid_constant__ Params p) "
      "{\n"
      "const u32 a = p.x[3 * threadIdx.x], b = p.x[3 * threadIdx.x + 1], c = p.x[3 * threadIdx.x + 2];\nu32 "
      "r = 0;\n" +
      code + "\np.y[threadIdx.x] = r + 0 * (a + b + c);\n}");
  kernel.launch({.threads = static_cast<unsigned>(inputs.size() / 3)}, Params{y.data(), x.data()});
  return y.values();
}
std::string inline_ptx(const std::string& text) {
  return "asm volatile(\"" + text + "\" : \"=r\"(r) : \"r\"(a), \"r\"(b), \"r\"(c));";
}
u32 bits(float x) {
  return std::bit_cast<u32>(x);
}

}  // namespace

TEST_CASE("integers and bits") {
  SKIP_WITHOUT_NVRTC();
  const std::vector<u32> in = {0x80000001, 3, 0xdeadbeef, 0xfffffff0, 40, 7};
  CHECK(results(inline_ptx("mul.hi.s32 %0, %1, %3;"), in) ==
        std::vector<u32>{
            static_cast<u32>((std::int64_t{INT32_MIN + 1} * static_cast<std::int32_t>(0xdeadbeef)) >> 32),
            0xffffffff});
  CHECK(results(inline_ptx("mad.lo.u32 %0, %1, %2, %3;"), in) ==
        std::vector<u32>{0x80000003 + 0xdeadbeef, 0xfffffd80 + 7});
  CHECK(results(inline_ptx("shr.s32 %0, %1, %2;"), in) == std::vector<u32>{0xf0000000, 0xffffffff});
  CHECK(results(inline_ptx("shl.b32 %0, %1, %2;"), in) == std::vector<u32>{8, 0});
  CHECK(results(inline_ptx("shf.l.wrap.b32 %0, %1, %3, %2;"), in) == std::vector<u32>{0xf56df77c, 0x7ff});
  CHECK(results(inline_ptx("lop3.b32 %0, %1, %2, %3, 0x96;"), in) ==
        std::vector<u32>{0x80000001 ^ 3 ^ 0xdeadbeef, 0xfffffff0 ^ 40 ^ 7});
  // Bytes 1, 3, the sign of byte 2, byte 6.
  CHECK(results(inline_ptx("prmt.b32 %0, %1, %3, 0x6a31;"), in) == std::vector<u32>{0xad008000, 0x00ffffff});
  CHECK(results(inline_ptx("bfe.s32 %0, %3, 4, 8;"), in) == std::vector<u32>{0xffffffee, 0});
  CHECK(results(inline_ptx("bfi.b32 %0, %2, %3, 8, 4;"), in) == std::vector<u32>{0xdeadb3ef, 0x807});
  CHECK(results(inline_ptx("clz.b32 %0, %2;"), in) == std::vector<u32>{30, 26});
  CHECK(results(inline_ptx("bfind.u32 %0, %2;"), in) == std::vector<u32>{1, 5});
  CHECK(results(inline_ptx("brev.b32 %0, %2;"), in) == std::vector<u32>{0xc0000000, 0x14000000});
  CHECK(results(inline_ptx("div.u32 %0, %1, %2;"), in) == std::vector<u32>{0x80000001 / 3, 0xfffffff0 / 40});
  CHECK(results(inline_ptx("dp4a.u32.s32 %0, %2, %1, %3;"), in) ==
        std::vector<u32>{0xdeadbeef + 3, static_cast<u32>(7 - 40 * 16)});
}

TEST_CASE("floating point, and conversions that round") {
  SKIP_WITHOUT_NVRTC();
  const float x = 1.0009765f, z = -3.7f;
  const std::vector<u32> in = {bits(x), bits(0.1f), bits(z), bits(448.5f), bits(1e-3f), bits(70000.0f)};
  CHECK(results(inline_ptx("fma.rn.f32 %0, %1, %2, %3;"), in)[0] == bits(std::fma(x, 0.1f, z)));
  CHECK(results(inline_ptx("cvt.rni.s32.f32 %0, %3;"), in) == std::vector<u32>{static_cast<u32>(-4), 70000});
  CHECK(results(inline_ptx("cvt.rzi.s32.f32 %0, %3;"), in) == std::vector<u32>{static_cast<u32>(-3), 70000});
  CHECK(results(inline_ptx("cvt.rzi.u32.f32 %0, %3;"), in) == std::vector<u32>{0, 70000});
  CHECK(results(inline_ptx("cvt.rn.f16x2.f32 %0, %1, %3;"), in) == std::vector<u32>{0x3c01c366, 0x5f027c00});
  CHECK(results(inline_ptx("cvt.rn.bf16x2.f32 %0, %1, %3;"), in) == std::vector<u32>{0x3f80c06d, 0x43e04789});
  CHECK(results(inline_ptx("{.reg .b16 h; cvt.rn.satfinite.e4m3x2.f32 h, %1, %3; cvt.u32.u16 %0, h;}"), in) ==
        std::vector<u32>{0x38c7, 0x7e7e});
  CHECK(results(inline_ptx("max.f32 %0, %1, %3;"), in) == std::vector<u32>{bits(x), bits(70000.0f)});
  const std::vector<u32> exponents = results(inline_ptx("ex2.approx.ftz.f32 %0, %3;"), in);
  CHECK(std::bit_cast<float>(exponents[0]) == Approx(std::exp2(z)).epsilon(1e-6));
  CHECK(exponents[1] == bits(INFINITY));
}

TEST_CASE("every small floating-point number survives a conversion there and back") {
  for (u32 i = 0; i < 0x10000; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    const bool f16_nan = (i & 0x7fff) > 0x7c00, bf16_nan = (i & 0x7fff) > 0x7f80;
    if (!f16_nan) REQUIRE(to_f16(from_f16(half)) == half);
    if (!bf16_nan) REQUIRE(to_bf16(from_bf16(half)) == half);
  }
  for (u32 i = 0; i < 256; ++i) {
    const auto byte = static_cast<std::uint8_t>(i);
    if ((i & 0x7f) != 0x7f) REQUIRE(to_e4m3(from_e4m3(byte)) == byte);
    if ((i & 0x7f) < 0x7c) REQUIRE(to_e5m2(from_e5m2(byte)) == byte);
  }
}

}  // namespace emulator::test
