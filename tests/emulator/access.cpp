// ld and st, of one or several elements, in every space.
#include "emulator/access.h"

#include "emulator/async.h"
#include "emulator/memory.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// Into registers of 32 or 64 bits; aux[0] says the latter.
template <class T>
Status load(Warp& w, const Instruction& in, u32 mask) {
  std::byte* at[32];
  resolve(w, in, mask, sizeof(T) * in.width, at);
  const u32* const list = w.list(in);
  for (int k = 0; k < in.width; ++k) {
    if (in.aux[0] != 0) {
      u64* const to = w.lanes<u64>(list[k]);
      for (u32 rest = mask; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        T value;
        std::memcpy(&value, at[lane] + k * static_cast<int>(sizeof(T)), sizeof(T));
        to[lane] = static_cast<u64>(static_cast<std::int64_t>(value));
      }
    } else {
      u32* const to = w.lanes<u32>(list[k]);
      for (u32 rest = mask; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        T value;
        std::memcpy(&value, at[lane] + k * static_cast<int>(sizeof(T)), sizeof(T));
        const auto bits = static_cast<u32>(static_cast<std::int64_t>(value));
        to[lane] = in.aux[1] != 0 ? bits & 0xffff : bits;
      }
    }
  }
  return Status::next;
}

template <class T>
Status store(Warp& w, const Instruction& in, u32 mask) {
  std::byte* at[32];
  resolve(w, in, mask, sizeof(T) * in.width, at);
  const u32* const list = w.list(in);
  // Lane by lane: of lanes that write to one place, the last one wins as a whole.
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    for (int k = 0; k < in.width; ++k) {
      const T value =
          static_cast<T>(in.aux[0] != 0 ? w.lanes<u64>(list[k])[lane] : w.lanes<u32>(list[k])[lane]);
      std::memcpy(at[lane] + k * static_cast<int>(sizeof(T)), &value, sizeof(T));
    }
  }
  return Status::next;
}

int width_of(const Decoder& d) {
  return d.has("v2") ? 2 : d.has("v4") ? 4 : d.has("v8") ? 8 : 1;
}

void load_value(Decoder& d, Instruction& in) {
  const Type type = d.type();
  in.space = space_of(d);
  in.width = static_cast<std::uint8_t>(width_of(d));
  const auto to = Decoder::elements(d.operand(0));
  if (to.size() != in.width || bytes_of(type) * in.width > 32) d.unsupported();
  for (const Operand& element : to) {
    if (element.kind == Operand::Kind::sink) continue;
    in.aux[0] = bytes_of(d.type_of(element)) == 8;
    in.aux[1] = bytes_of(d.type_of(element)) == 2;
  }
  d.append_targets(in, d.operand(0));
  d.address(d.operand(1), in);
  in.memory = d.new_memory_index();
  const bool sign = is_signed(type);
  switch (bytes_of(type)) {
    case 1:
      in.run = sign ? load<std::int8_t> : load<std::uint8_t>;
      break;
    case 2:
      in.run = sign ? load<std::int16_t> : load<std::uint16_t>;
      break;
    case 4:
      in.run = sign ? load<std::int32_t> : load<u32>;
      break;
    default:
      in.run = load<u64>;
  }
}

void store_value(Decoder& d, Instruction& in) {
  if (d.has("async")) return build_store_async(d, in);
  const Type type = d.type();
  in.space = space_of(d);
  in.width = static_cast<std::uint8_t>(width_of(d));
  const auto from = Decoder::elements(d.operand(1));
  if (from.size() != in.width || bytes_of(type) * in.width > 32) d.unsupported();
  in.aux[0] = bytes_of(type) == 8;
  for (const Operand& element : from) {
    if (element.kind == Operand::Kind::name && bytes_of(d.type_of(element)) == 8) in.aux[0] = 1;
  }
  d.append_sources(in, d.operand(1), in.aux[0] != 0 ? Type::b64 : bytes_of(type) < 4 ? Type::b16 : type);
  d.address(d.operand(0), in);
  in.memory = d.new_memory_index();
  switch (bytes_of(type)) {
    case 1:
      in.run = store<std::uint8_t>;
      break;
    case 2:
      in.run = store<std::uint16_t>;
      break;
    case 4:
      in.run = store<u32>;
      break;
    default:
      in.run = store<u64>;
  }
}

}  // namespace

Space space_of(const Decoder& d) {
  if (d.has("global") || d.has("const")) return Space::global;
  if (d.has("shared") || d.has("shared::cta") || d.has("shared::cluster")) return Space::shared;
  if (d.has("local")) return Space::local;
  if (d.has("param") || d.has("param::entry")) return Space::param;
  return Space::generic;
}

void add_memory(Families& families) {
  families["ld"] = families["ldu"] = load_value;
  families["st"] = store_value;
}

}  // namespace emulator
