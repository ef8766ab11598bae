// mma.sync, ldmatrix, stmatrix and movmatrix: what a whole warp does with small matrices.
#include <cstring>

#include "emulator/access.h"
#include "emulator/fragments.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;

// A register holds kPerWord elements. Word i of A in lane l is row l / 4 + 8 * (i & 1), from column
// kPerWord * (l % 4 + 4 * (i >> 1)) on; of B it is column l / 4, from row kPerWord * (l % 4 + 4 * i) on.
void open_word(Type type, const u32* words, int per_word, float (*out)[32]) {
  switch (type) {
    case Type::f16:
    case Type::bf16:
      return open_halves(type, words, out[0], out[1]);
    case Type::tf32:
      for (int lane = 0; lane < 32; ++lane) out[0][lane] = to_tf32(std::bit_cast<float>(words[lane]));
      return;
    default:
      for (int e = 0; e < per_word; ++e) {
        for (int lane = 0; lane < 32; ++lane) {
          const auto byte = static_cast<std::uint8_t>(words[lane] >> (8 * e));
          out[e][lane] = type == Type::e4m3x2 ? from_e4m3(byte) : from_e5m2(byte);
        }
      }
  }
}

/// in.aux: k, the types of A and B, whether sums are f16. The list: D, A, B, C.
Status multiply(Warp& w, const Instruction& in, u32 mask) {
  if (mask != kAll)
    return mask == w.alive ? fault("mma.sync by a warp that is not whole"), Status::next : Status::blocked;
  const int k = in.aux[0];
  const auto type_a = static_cast<Type>(in.aux[1] & 0xff), type_b = static_cast<Type>(in.aux[1] >> 8);
  const int per_word = type_a == Type::tf32 ? 1 : type_a == Type::f16 || type_a == Type::bf16 ? 2 : 4;
  const int sums = in.aux[2] != 0 ? 2 : 4, words_b = k / (4 * per_word), words_a = 2 * words_b;
  const u32 *d = w.list(in), *a = d + sums, *b = a + words_a, *c = b + words_b;
  alignas(64) float left[16][32], right[32][8], sum[16][8], opened[4][32];
  for (int i = 0; i < words_a; ++i) {
    open_word(type_a, w.lanes<u32>(a[i]), per_word, opened);
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < per_word; ++e)
        left[lane / 4 + 8 * (i & 1)][per_word * (lane % 4 + 4 * (i >> 1)) + e] = opened[e][lane];
    }
  }
  for (int i = 0; i < words_b; ++i) {
    open_word(type_b, w.lanes<u32>(b[i]), per_word, opened);
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < per_word; ++e) right[per_word * (lane % 4 + 4 * i) + e][lane / 4] = opened[e][lane];
    }
  }
  // Lane l has D[l / 4 + 8 * r][2 * (l % 4) + e].
  for (int r = 0; r < 2; ++r) {
    if (in.aux[2] != 0) {
      open_halves(Type::f16, w.lanes<u32>(c[r]), opened[0], opened[1]);
    } else {
      for (int e = 0; e < 2; ++e) std::memcpy(opened[e], w.lanes<float>(c[2 * r + e]), sizeof opened[e]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < 2; ++e) sum[lane / 4 + 8 * r][2 * (lane % 4) + e] = opened[e][lane];
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int i = 0; i < k; ++i) {
      for (int column = 0; column < 8; ++column)
        sum[row][column] = multiply_add(left[row][i], right[i][column], sum[row][column]);
    }
  }
  for (int r = 0; r < 2; ++r) {
    for (int lane = 0; lane < 32; ++lane) {
      const float x = sum[lane / 4 + 8 * r][2 * (lane % 4)], y = sum[lane / 4 + 8 * r][2 * (lane % 4) + 1];
      if (in.aux[2] != 0) {
        w.lanes<u32>(d[r])[lane] = u32{to_f16(y)} << 16 | to_f16(x);
      } else {
        w.lanes<float>(d[2 * r])[lane] = x;
        w.lanes<float>(d[2 * r + 1])[lane] = y;
      }
    }
  }
  return Status::next;
}

Type element_type(const std::string& name) {
  if (name == "e4m3") return Type::e4m3x2;
  if (name == "e5m2") return Type::e5m2x2;
  const Type type = type_named(name);
  return type == Type::f16 || type == Type::bf16 || type == Type::tf32 ? type : Type::none;
}

void matrix_multiply(Decoder& d, Instruction& in) {
  const auto& op = d.statement().op;  // mma sync aligned m16n8k16 row col D A B C
  if (op.size() != 10 || !d.has("row") || !d.has("col") || !op[3].starts_with("m16n8k")) d.unsupported();
  const Type a = element_type(op[7]), b = element_type(op[8]);
  const bool half = op[6] == "f16";
  if (a == Type::none || b == Type::none || op[6] != op[9] || (!half && op[6] != "f32")) d.unsupported();
  in.aux[0] = std::stoi(op[3].substr(6));
  in.aux[1] = static_cast<int>(a) | static_cast<int>(b) << 8;
  in.aux[2] = half;
  d.append_targets(in, d.operand(0));
  d.append_sources(in, d.operand(1), Type::b32);
  d.append_sources(in, d.operand(2), Type::b32);
  d.append_sources(in, d.operand(3), Type::b32);
  in.run = multiply;
}

/// The addresses of the rows of `count` matrices, 16 bytes each, from lanes 0 to 8 * count - 1.
void rows_of(Warp& w, const Instruction& in, int count, std::byte* (&at)[32]) {
  resolve(w, in, count == 4 ? kAll : (1u << (8 * count)) - 1, 16, at);
}

/// in.aux: the number of matrices, whether they are transposed.
Status load_matrices(Warp& w, const Instruction& in, u32 mask) {
  if (mask != kAll) return Status::blocked;
  std::byte* at[32];
  rows_of(w, in, in.aux[0], at);
  const u32* const list = w.list(in);
  for (int i = 0; i < in.aux[0]; ++i) {
    u16 matrix[8][8];
    for (int row = 0; row < 8; ++row) std::memcpy(matrix[row], at[8 * i + row], 16);
    u32* const to = w.lanes<u32>(list[i]);
    for (int lane = 0; lane < 32; ++lane) {
      const int major = lane / 4, minor = 2 * (lane % 4);
      to[lane] = in.aux[1] != 0 ? u32{matrix[minor + 1][major]} << 16 | matrix[minor][major]
                                : u32{matrix[major][minor + 1]} << 16 | matrix[major][minor];
    }
  }
  return Status::next;
}

Status store_matrices(Warp& w, const Instruction& in, u32 mask) {
  if (mask != kAll) return Status::blocked;
  std::byte* at[32];
  rows_of(w, in, in.aux[0], at);
  const u32* const list = w.list(in);
  for (int i = 0; i < in.aux[0]; ++i) {
    u16 matrix[8][8];
    const u32* const from = w.lanes<u32>(list[i]);
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < 2; ++e) {
        const int major = lane / 4, minor = 2 * (lane % 4) + e;
        (in.aux[1] != 0 ? matrix[minor][major] : matrix[major][minor]) =
            static_cast<u16>(from[lane] >> (16 * e));
      }
    }
    for (int row = 0; row < 8; ++row) std::memcpy(at[8 * i + row], matrix[row], 16);
  }
  return Status::next;
}

void move_matrices(Decoder& d, Instruction& in) {
  if (!d.has("m8n8") || !d.has("b16")) d.unsupported();
  const bool loads = d.statement().op[0] == "ldmatrix";
  in.aux[0] = d.has("x4") ? 4 : d.has("x2") ? 2 : 1;
  in.aux[1] = d.has("trans");
  in.space = space_of(d);
  in.memory = d.new_memory_index();
  const Operand &vector = d.operand(loads ? 0 : 1), &address = d.operand(loads ? 1 : 0);
  if (Decoder::elements(vector).size() != static_cast<std::size_t>(in.aux[0])) d.unsupported();
  d.address(address, in);
  if (loads) {
    d.append_targets(in, vector);
  } else {
    d.append_sources(in, vector, Type::b32);
  }
  in.run = loads ? load_matrices : store_matrices;
}

Status transpose(Warp& w, const Instruction& in, u32 mask) {
  if (mask != kAll) return Status::blocked;
  u16 matrix[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    for (int e = 0; e < 2; ++e)
      matrix[lane / 4][2 * (lane % 4) + e] = static_cast<u16>(w.lanes<u32>(in.a)[lane] >> (16 * e));
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int major = lane / 4, minor = 2 * (lane % 4);
    w.lanes<u32>(in.dst)[lane] = u32{matrix[minor + 1][major]} << 16 | matrix[minor][major];
  }
  return Status::next;
}

void transpose_matrix(Decoder& d, Instruction& in) {
  if (!d.has("trans")) d.unsupported();
  in.dst = d.target(d.operand(0));
  in.a = d.source(d.operand(1), Type::b32);
  in.run = transpose;
}

}  // namespace

void add_matrix(Families& families) {
  families["mma"] = matrix_multiply;
  families["ldmatrix"] = families["stmatrix"] = move_matrices;
  families["movmatrix"] = transpose_matrix;
}

}  // namespace emulator
