// cp.async.bulk: copies by the copy engine, of stretches and of boxes of tensors. Those into shared memory
// land some rounds after they were issued; those out of it when the issuing thread waits for its group.
#include "emulator/async.h"
#include "emulator/atomic.h"
#include "emulator/block.h"
#include "emulator/mbarrier.h"
#include "emulator/memory.h"
#include "emulator/tensor_map.h"

namespace emulator {

/// A copy out of shared memory that has been issued.
struct Bulk {
  std::function<void()> act;
};

namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u64 kFlightRounds = 4;

/// `act`, whose faults say where it was issued.
std::function<void()> issued_at(Warp& w, const Instruction& in, std::function<void()> act) {
  return [&w, &in, act = std::move(act)] {
    try {
      act();
    } catch (const Fault& f) {
      fault("{} in kernel {}, {}, warp {}, an asynchronous copy issued at {}", f.what(), w.program->name,
            w.block->print(), w.index, w.program->print(in));
    }
  };
}

BulkGroups& groups_of(Warp& w, int lane) {
  if (!w.bulk) w.bulk = std::make_unique<std::array<BulkGroups, 32>>();
  return (*w.bulk)[static_cast<std::size_t>(lane)];
}

// in.list: what the address of shared memory is, of global memory or of the tensor map, of the barrier; the
// number of bytes, the mask of blocks, the five coordinates. kNone where there is none; behind each its
// offset and width.
enum Slot {
  shared_slot,
  global_slot,
  barrier_slot,
  bytes_slot,
  mask_slot,
  coordinate_slot,
  slots = coordinate_slot + 5
};
struct Request {
  u64 shared = 0, global = 0, barrier = 0, bytes = 0;
  u32 blocks = 0;  ///< Of the cluster, for a multicast.
  TensorMap map = {};
  std::int32_t coordinate[5] = {};
};

u64 value_of(Warp& w, const Instruction& in, int slot, int lane) {
  const u32 place = w.list(in)[2 * slot];
  if (place == kNone) return 0;
  const u32 flags = w.list(in)[2 * slot + 1];  // the offset, and in the lowest bit whether 32 bits wide
  const u64 base = (flags & 1) != 0 ? w.lanes<u32>(place)[lane] : w.lanes<u64>(place)[lane];
  return base + static_cast<u64>(static_cast<std::int32_t>(flags) >> 1);
}

Request request_of(Warp& w, const Instruction& in, int lane, bool is_tensor) {
  Request r;
  r.shared = value_of(w, in, shared_slot, lane) & ~kWindowMask;
  r.global = value_of(w, in, global_slot, lane);
  r.barrier = value_of(w, in, barrier_slot, lane) & ~kWindowMask;
  r.bytes = value_of(w, in, bytes_slot, lane);
  r.blocks = static_cast<u32>(value_of(w, in, mask_slot, lane));
  for (int d = 0; d < 5; ++d)
    r.coordinate[d] = static_cast<std::int32_t>(value_of(w, in, coordinate_slot + d, lane));
  if (is_tensor) {
    if (r.global % 64 != 0) fault("the tensor map at {:#x} is not aligned to 64 bytes", r.global);
    std::memcpy(&r.map, generic_at(w, lane, r.global, 128), sizeof r.map);
    if (r.map.magic != TensorMap::kMagic) fault("there is no tensor map at {:#x}", r.global);
    if (r.map.rank != in.width)
      fault("a copy of a box of {} dimensions from a tensor map of {}", in.width, r.map.rank);
    if (r.shared % 128 != 0) fault("a box at {:#x} of shared memory is not aligned to 128 bytes", r.shared);
    r.bytes = r.map.box_bytes();
  } else if (r.bytes % 16 != 0 || r.shared % 16 != 0 || r.global % 16 != 0) {
    fault("a bulk copy of {} bytes between {:#x} and {:#x} of shared memory: all must be multiples of 16",
          r.bytes, r.global, r.shared);
  }
  shared_at(*w.block, r.shared, r.bytes);
  return r;
}

void copy_in(Block& target, Block& barrier_block, const Request& r, bool is_tensor) {
  std::byte* const to = shared_at(target, r.shared, r.bytes);
  if (is_tensor) {
    copy_box(r.map, r.coordinate, to, static_cast<u32>(r.shared & 0xffffff), BoxCopy::load);
  } else {
    check_global(r.global, r.bytes, "global");
    std::memcpy(to, reinterpret_cast<const void*>(static_cast<std::uintptr_t>(r.global)), r.bytes);
  }
  expect_bytes(barrier_block, r.barrier, -static_cast<std::int64_t>(r.bytes));
}

void copy_out(Block& source, const Request& r, bool is_tensor, bool adds, Type type) {
  std::byte* const from = shared_at(source, r.shared, r.bytes);
  if (is_tensor) {
    return copy_box(r.map, r.coordinate, from, static_cast<u32>(r.shared & 0xffffff),
                    adds ? BoxCopy::add : BoxCopy::store);
  }
  check_global(r.global, r.bytes, "global");
  auto* const to = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(r.global));
  if (!adds) return void(std::memcpy(to, from, r.bytes));
  const auto step = static_cast<std::size_t>(bytes_of(type));
  for (std::size_t i = 0; i < r.bytes; i += step) add_element(to + i, from + i, type);
}

template <bool kTensor>
Status run_load(Warp& w, const Instruction& in, u32 mask) {
  Block& block = *w.block;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const Request r = request_of(w, in, __builtin_ctz(rest), kTensor);
    shared_at(block, r.barrier, 8);
    const bool multicast = w.list(in)[2 * mask_slot] != kNone;
    if (!multicast) {
      block.cluster->after(kFlightRounds,
                           issued_at(w, in, [&block, r] { copy_in(block, block, r, kTensor); }));
      continue;
    }
    for (u32 blocks = r.blocks; blocks != 0; blocks &= blocks - 1) {
      const auto rank = static_cast<std::size_t>(__builtin_ctz(blocks));
      if (rank >= block.cluster->blocks.size())
        fault("a multicast to block {} of a cluster of {}", rank, block.cluster->blocks.size());
      Block& target = block.cluster->blocks[rank];
      block.cluster->after(kFlightRounds,
                           issued_at(w, in, [&target, r] { copy_in(target, target, r, kTensor); }));
    }
  }
  return Status::next;
}

template <bool kTensor, bool kAdds>
Status run_store(Warp& w, const Instruction& in, u32 mask) {
  Block& block = *w.block;
  const auto type = static_cast<Type>(in.aux[1]);
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = __builtin_ctz(rest);
    const Request r = request_of(w, in, lane, kTensor);
    groups_of(w, lane).open.push_back(std::make_shared<Bulk>(
        Bulk{issued_at(w, in, [&block, r, type] { copy_out(block, r, kTensor, kAdds, type); })}));
  }
  return Status::next;
}

/// From this block's shared memory to another's: in.list's global address is the source.
Status run_between(Warp& w, const Instruction& in, u32 mask) {
  Block& block = *w.block;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const Request r = request_of(w, in, __builtin_ctz(rest), false);
    block.cluster->after(kFlightRounds, issued_at(w, in, [&block, r] {
                           std::memcpy(shared_at(block, r.shared, r.bytes),
                                       shared_at(block, r.global & ~kWindowMask, r.bytes), r.bytes);
                           expect_bytes(block, r.barrier, -static_cast<std::int64_t>(r.bytes));
                         }));
  }
  return Status::next;
}

Status commit(Warp& w, const Instruction&, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    BulkGroups& groups = groups_of(w, __builtin_ctz(rest));
    groups.closed.push_back(std::move(groups.open));
    groups.open.clear();
  }
  return Status::next;
}

Status wait(Warp& w, const Instruction& in, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    BulkGroups& groups = groups_of(w, __builtin_ctz(rest));
    while (groups.closed.size() > static_cast<std::size_t>(in.aux[0])) {
      for (const auto& bulk : groups.closed.front()) bulk->act();
      groups.closed.pop_front();
    }
  }
  return Status::next;
}

class Builder {
 public:
  Builder(Decoder& d, Instruction& in) : d_(d), in_(in) { std::fill_n(places_, 2 * slots, kNone); }

  void address(Slot slot, const Operand& operand) {
    if (operand.kind != Operand::Kind::address) d_.unsupported();
    place(slot, operand.parts.at(0), static_cast<std::int64_t>(operand.bits), Type::u64);
  }
  void place(Slot slot, const Operand& operand, std::int64_t offset, Type literal_type) {
    const bool is_register = d_.type_of(operand) != Type::none;
    const Type type = is_register ? d_.type_of(operand) : literal_type;
    places_[2 * slot] = d_.source(operand, type);
    places_[2 * slot + 1] = static_cast<u32>(offset) << 1 | (bytes_of(type) < 8 ? 1 : 0);
  }
  void coordinates(const Operand& map) {
    if (map.parts.size() != 2) d_.unsupported();
    const auto all = Decoder::elements(map.parts[1]);
    in_.width = static_cast<std::uint8_t>(all.size());
    for (std::size_t i = 0; i < all.size() && i < 5; ++i)
      place(static_cast<Slot>(coordinate_slot + i), all[i], 0, Type::s32);
  }
  void finish() {
    for (const u32 value : places_) d_.append(in_, value);
  }

 private:
  Decoder& d_;
  Instruction& in_;
  u32 places_[2 * slots];
};

/// Whether it reads global memory: "shared::cluster.global".
bool is_load(const Statement& s) {
  for (std::size_t i = 1; i + 1 < s.op.size(); ++i) {
    if (s.op[i].starts_with("shared") && s.op[i + 1] == "global") return true;
  }
  return false;
}

void build_transfer(Decoder& d, Instruction& in) {
  const Statement& s = d.statement();
  const bool tensor = d.has("tensor"), adds = d.has("reduce");
  if (d.has("im2col") || (adds && !d.has("add"))) d.unsupported();
  if (adds && !tensor) in.aux[1] = static_cast<int>(d.type());
  Builder b(d, in);
  if (is_load(s)) {
    if (adds) d.unsupported();
    b.address(shared_slot, d.operand(0));
    b.address(global_slot, d.operand(1));
    std::size_t next = 2;
    if (tensor) {
      b.coordinates(d.operand(1));
    } else {
      b.place(bytes_slot, d.operand(next++), 0, Type::u32);
    }
    b.address(barrier_slot, d.operand(next++));
    if (d.has("multicast::cluster")) b.place(mask_slot, d.operand(next), 0, Type::u16);
    in.run = tensor ? run_load<true> : run_load<false>;
  } else if (d.has("global")) {
    b.address(global_slot, d.operand(0));
    b.address(shared_slot, d.operand(1));
    if (tensor) {
      b.coordinates(d.operand(0));
    } else {
      b.place(bytes_slot, d.operand(2), 0, Type::u32);
    }
    in.run = tensor ? (adds ? run_store<true, true> : run_store<true, false>)
                    : (adds ? run_store<false, true> : run_store<false, false>);
  } else {
    if (adds || tensor) d.unsupported();
    b.address(shared_slot, d.operand(0));
    b.address(global_slot, d.operand(1));
    b.place(bytes_slot, d.operand(2), 0, Type::u32);
    b.address(barrier_slot, d.operand(3));
    in.run = run_between;
  }
  b.finish();
}

}  // namespace

void build_bulk(Decoder& d, Instruction& in) {
  if (d.has("commit_group")) {
    in.run = commit;
  } else if (d.has("wait_group")) {
    in.aux[0] = static_cast<int>(d.literal(d.operand(0)));
    in.run = wait;
  } else if (d.has("prefetch")) {
    in.run = [](Warp&, const Instruction&, u32) { return Status::next; };
  } else {
    build_transfer(d, in);
  }
}

bool has_unfinished_bulk(const Warp& w, u32 lanes) {
  for (u32 rest = lanes; w.bulk && rest != 0; rest &= rest - 1) {
    const BulkGroups& groups = (*w.bulk)[static_cast<std::size_t>(__builtin_ctz(rest))];
    if (!groups.open.empty() || !groups.closed.empty()) return true;
  }
  return false;
}

}  // namespace emulator
