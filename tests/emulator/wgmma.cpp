// wgmma: each of the four warps of a warpgroup multiplies its 16 rows when it gets there. Results are there
// at once, so that a missing wait is not seen.
#include "emulator/block.h"
#include "emulator/decoder.h"
#include "emulator/fragments.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// An operand in shared memory: 16-bit elements along an outer dimension (rows of A, columns of B) and the
/// one that is summed over.
class Tile {
 public:
  Tile(Block& block, u64 descriptor, bool transposed)
      : memory_(block.shared.data()),
        bytes_(block.shared.size()),
        start_(static_cast<u32>(descriptor & 0x3fff) << 4),
        leading_(static_cast<u32>(descriptor >> 16 & 0x3fff) << 4),
        stride_(static_cast<u32>(descriptor >> 32 & 0x3fff) << 4),
        transposed_(transposed) {
    const auto mode = descriptor >> 62;
    swizzle_ = mode == 0 ? 16 : mode == 1 ? 128 : mode == 2 ? 64 : 32;
    if ((descriptor >> 49 & 7) != 0) fault("wgmma: a base offset in a descriptor is not supported");
  }

  /// Where eight consecutive elements lie: along the sum, or along the outer dimension if transposed.
  const std::byte* eight(u32 outer, u32 k) const {
    u32 address = start_;
    if (!transposed_) {
      const u32 k_bytes = 2 * k;
      address += outer / 8 * stride_;
      address += swizzle_ == 16 ? outer % 8 * 16 + k_bytes / 16 * leading_ : outer % 8 * swizzle_ + k_bytes;
    } else {
      const u32 per_row = swizzle_ / 2;
      const u32 outer_stride = swizzle_ == 16 ? stride_ : leading_,
                k_stride = swizzle_ == 16 ? leading_ : stride_;
      address += outer / per_row * outer_stride + outer % per_row * 2 + k / 8 * k_stride + k % 8 * swizzle_;
    }
    // The address's bits 7 to 9 permute its chunks of 16 bytes.
    address ^= (address >> 7 & (swizzle_ / 16 - 1)) << 4;
    const u32 offset = address - kSharedBase;
    if (offset > bytes_ || bytes_ - offset < 16)
      fault("wgmma: shared address {:#x} of an operand is outside of the block's shared memory", address);
    return memory_ + offset;
  }

 private:
  const std::byte* memory_;
  std::size_t bytes_;
  u32 start_, leading_, stride_, swizzle_;
  bool transposed_;
};

/// sum [16, n] += left [16, 16] * right [16, n]
void accumulate(float (*sum)[256], const float (*left)[16], const float (*right)[256], int n) {
  for (int column = 0; column < n; column += 8) {
    for (int row = 0; row < 16; row += 8) {
      float part[8][8];
      for (int r = 0; r < 8; ++r) std::memcpy(part[r], &sum[row + r][column], sizeof part[r]);
      for (int k = 0; k < 16; ++k) {
        for (int r = 0; r < 8; ++r) {
          for (int c = 0; c < 8; ++c)
            part[r][c] = multiply_add(left[row + r][k], right[k][column + c], part[r][c]);
        }
      }
      for (int r = 0; r < 8; ++r) std::memcpy(&sum[row + r][column], part[r], sizeof part[r]);
    }
  }
}

// in.aux: n, type, bits: A in registers, A transposed, B transposed, A negated, B negated.
enum Bits { in_registers = 1, a_transposed = 2, b_transposed = 4, a_negated = 8, b_negated = 16 };

void open_right(Warp& w, const Instruction& in, Type type, int n, float (*right)[256]) {
  const Tile b(*w.block, w.lanes<u64>(in.b)[0], (in.aux[2] & b_transposed) != 0);
  if ((in.aux[2] & b_transposed) != 0) {
    for (u32 k = 0; k < 16; ++k) {
      for (int column = 0; column < n; column += 8)
        open_eight(type, b.eight(static_cast<u32>(column), k), &right[k][column]);
    }
    return;
  }
  for (int column = 0; column < n; ++column) {
    for (u32 k = 0; k < 16; k += 8) {
      float eight[8];
      open_eight(type, b.eight(static_cast<u32>(column), k), eight);
      for (u32 i = 0; i < 8; ++i) right[k + i][column] = eight[i];
    }
  }
}

void open_left(Warp& w, const Instruction& in, Type type, const u32* words, float (*left)[16]) {
  if ((in.aux[2] & in_registers) != 0) {
    float opened[2][32];
    for (int i = 0; i < 4; ++i) {
      open_halves(type, w.lanes<u32>(words[i]), opened[0], opened[1]);
      for (int lane = 0; lane < 32; ++lane) {
        for (int e = 0; e < 2; ++e)
          left[lane / 4 + 8 * (i & 1)][2 * (lane % 4) + 8 * (i >> 1) + e] = opened[e][lane];
      }
    }
    return;
  }
  const bool transposed = (in.aux[2] & a_transposed) != 0;
  const Tile a(*w.block, w.lanes<u64>(in.a)[0], transposed);
  const auto first = static_cast<u32>(w.index % 4 * 16);
  for (u32 outer = 0; outer < 16; outer += transposed ? 8 : 1) {
    for (u32 k = 0; k < 16; k += transposed ? 1 : 8) {
      float eight[8];
      open_eight(type, a.eight(first + outer, k), eight);
      for (u32 i = 0; i < 8; ++i) (transposed ? left[outer + i][k] : left[outer][k + i]) = eight[i];
    }
  }
}

Status multiply(Warp& w, const Instruction& in, u32 mask) {
  if (mask != kAll) return Status::blocked;
  const int n = in.aux[0];
  const auto type = static_cast<Type>(in.aux[1]);
  alignas(64) float sum[16][256], left[16][16], right[16][256];
  const u32* const d = w.list(in);
  open_left(w, in, type, d + n / 2, left);
  open_right(w, in, type, n, right);
  const float sign = ((in.aux[2] & a_negated) != 0) != ((in.aux[2] & b_negated) != 0) ? -1.0f : 1.0f;
  if (sign < 0) {
    for (auto& row : left) {
      for (float& x : row) x = -x;
    }
  }
  // Lane l has D[l / 4 + 8 * r][8 * tile + 2 * (l % 4) + e] of the warp's rows in register 4 * tile + 2 * r +
  // e.
  const bool adds = w.predicate(in.c) != 0;
  for (int i = 0; i < n / 2; ++i) {
    const float* const from = w.lanes<float>(d[i]);
    const int row = 8 * (i >> 1 & 1), column = i / 4 * 8 + (i & 1);
    for (int lane = 0; lane < 32; ++lane)
      sum[row + lane / 4][column + 2 * (lane % 4)] = adds ? from[lane] : 0.0f;
  }
  accumulate(sum, left, right, n);
  for (int i = 0; i < n / 2; ++i) {
    float* const to = w.lanes<float>(d[i]);
    const int row = 8 * (i >> 1 & 1), column = i / 4 * 8 + (i & 1);
    for (int lane = 0; lane < 32; ++lane) to[lane] = sum[row + lane / 4][column + 2 * (lane % 4)];
  }
  return Status::next;
}

Status whole_warp(Warp&, const Instruction&, u32 mask) {
  return mask == kAll ? Status::next : Status::blocked;
}

void build(Decoder& d, Instruction& in) {
  const auto& op = d.statement().op;  // wgmma mma_async sync aligned m64n128k16 D A B
  if (op[1] != "mma_async") {
    in.run = whole_warp;
    return;
  }
  const Type type = d.type();
  if (op.size() != 8 || op[5] != "f32" || op[6] != op[7] || (type != Type::f16 && type != Type::bf16))
    d.unsupported();
  const std::string& shape = op[4];
  const std::size_t k = shape.find('k');
  if (!shape.starts_with("m64n") || shape.substr(k) != "k16") d.unsupported();
  in.aux[0] = std::stoi(shape.substr(4, k - 4));
  in.aux[1] = static_cast<int>(type);
  const bool from_registers = d.operand(1).kind == Operand::Kind::vector;
  const auto flag = [&](std::size_t index, std::uint64_t unless, int bit) {
    if (d.literal(d.operand(index)) != unless) in.aux[2] |= bit;
  };
  if (Decoder::elements(d.operand(0)).size() != static_cast<std::size_t>(in.aux[0] / 2)) d.unsupported();
  d.append_targets(in, d.operand(0));
  if (from_registers) {
    in.aux[2] |= in_registers;
    d.append_sources(in, d.operand(1), Type::b32);
  } else {
    in.a = d.source(d.operand(1), Type::b64);
  }
  in.b = d.source(d.operand(2), Type::b64);
  in.c = d.predicate(d.operand(3));
  flag(4, 1, a_negated);
  flag(5, 1, b_negated);
  if (!from_registers) flag(6, 0, a_transposed);
  flag(from_registers ? 6 : 7, 0, b_transposed);
  in.run = multiply;
}

}  // namespace

void add_wgmma(Families& families) {
  families["wgmma"] = build;
}

}  // namespace emulator
