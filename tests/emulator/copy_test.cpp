// Bulk copies and boxes of tensors, swizzled, at the tensor's edges, and as sums.
#include "emulator/fixture.h"
#include "emulator/tensor_map.h"

namespace emulator::test {
namespace {

struct alignas(128) Params {
  TensorMap map;
  alignas(128) float* y;
  int x, row;
};

/// Of x [rows, 40] f32 in boxes of 8 rows and `width` bytes.
TensorMap map_of(const Array<float>& x, unsigned rows, std::uint8_t width) {
  TensorMap map = {};
  map.magic = TensorMap::kMagic;
  map.data = reinterpret_cast<std::uintptr_t>(x.data());
  map.extent[0] = 40;
  map.extent[1] = rows;
  map.stride_bytes[0] = 160;
  map.box[0] = static_cast<std::uint16_t>(width / 4);
  map.box[1] = 8;
  map.rank = 2;
  map.element_bytes = 4;
  map.type = Type::f32;
  map.swizzle_bytes = width;
  return map;
}

const std::string kHead = R"(struct alignas(128) Map { u64 opaque[16]; };
struct alignas(128) Params { Map map; alignas(128) f32* y; int x, row; };
extern __shared__ __align__(1024) unsigned char shared[];
extern "C" __global__ void kernel(const __grid_constant__ Params p) {
  const u32 at = __cvta_generic_to_shared(shared), barrier = at + 1024, t = threadIdx.x;
)";

}  // namespace

TEST_CASE("a box of a tensor lands swizzled, with zeros outside, and not before it is waited for") {
  SKIP_WITHOUT_NVRTC();
  const std::string text = kHead + R"(
  if (t == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], BYTES;" :: "r"(barrier) : "memory");
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
      :: "r"(at), "l"(&p.map), "r"(barrier), "r"(p.x), "r"(p.row) : "memory");
    WAIT asm volatile("{\n.reg .pred q;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 q, [%0], 0;\n@!q bra again;\n}" :: "r"(barrier) : "memory");
  }
  __syncwarp();
  for (int i = t; i < 2 * WIDTH; i += 32) p.y[i] = *(f32*)(shared + 4 * i);
  if (t == 0) asm volatile("{\n.reg .pred q;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 q, [%0], 0;\n@!q bra again;\n}" :: "r"(barrier) : "memory");
})";
  const Array<float> x(11 * 40), y(256);
  for (int i = 0; i < 440; ++i) x[i] = static_cast<float>(i + 1);
  for (const int width : {32, 64, 128}) {
    for (const bool waits : {true, false}) {
      std::string of_width = text;
      const auto set = [&](const std::string& name, const std::string& value) {
        while (of_width.find(name) != of_width.npos)
          of_width.replace(of_width.find(name), name.size(), value);
      };
      set("BYTES", std::to_string(8 * width));
      set("WIDTH", std::to_string(width));
      set("WAIT", waits ? "" : "if (p.x == 12345)");
      const Kernel kernel(of_width);
      for (const auto& [column, row] : {std::pair(4, 2), {-3, -2}, {36, 7}}) {
        kernel.launch({.shared_bytes = 1032},
                      Params{map_of(x, 11, static_cast<std::uint8_t>(width)), y.data(), column, row});
        if (!waits) {
          CHECK(y[0] != y[0]);
          continue;
        }
        bool same = true;
        for (int r = 0; r < 8; ++r) {
          for (int c = 0; c < width / 4; ++c) {
            const int at = r * width + 4 * c, place = at ^ ((at >> 7 & (width / 16 - 1)) << 4);
            const bool inside = row + r >= 0 && row + r < 11 && column + c >= 0 && column + c < 40;
            same &= y[static_cast<std::size_t>(place / 4)] ==
                    (inside ? x[static_cast<std::size_t>((row + r) * 40 + column + c)] : 0.0f);
          }
        }
        INFO(width << " bytes wide at " << column << ", " << row);
        CHECK(same);
      }
    }
  }
}

TEST_CASE("a box is added to a tensor, and must be waited for") {
  SKIP_WITHOUT_NVRTC();
  const std::string text = kHead + R"(
  for (int i = t; i < 64; i += 32) ((f32*)shared)[i] = 100.0f;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncwarp();
  if (t == 0) asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%1, {%2, %3}], [%0];\ncp.async.bulk.commit_group;\nWAIT"
    :: "r"(at + 0 * barrier), "l"(&p.map), "r"(p.x), "r"(p.row) : "memory");
})";
  const Array<float> x(11 * 40, 1.0f);
  std::string waits = text, does_not = text;
  waits.replace(waits.find("WAIT"), 4, "cp.async.bulk.wait_group.read 0;");
  does_not.replace(does_not.find("WAIT"), 4, "");
  const Params params{map_of(x, 11, 32), nullptr, 36, 7};
  Kernel(waits).launch({.shared_bytes = 1024}, params);
  for (int i = 0; i < 440; ++i) CHECK(x[i] == (i / 40 >= 7 && i % 40 >= 36 ? 101.0f : 1.0f));
  CHECK_THAT(Kernel(does_not).fault_of({.shared_bytes = 1024}, params),
             Contains("a thread ends while bulk copies"));
}

}  // namespace emulator::test
