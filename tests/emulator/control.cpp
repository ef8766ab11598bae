// Branches, the end of a thread, named barriers, barriers of a cluster, and instructions without effect here.
#include "emulator/control.h"

#include "emulator/async.h"
#include "emulator/block.h"

namespace emulator {
namespace {

using u32 = std::uint32_t;

Status branch(Warp& w, const Instruction& in, u32 mask) {
  w.jump(mask, in.target);
  return Status::jumped;
}

Status nothing(Warp&, const Instruction&, u32) {
  return Status::next;
}
Status let_others(Warp&, const Instruction&, u32) {
  return Status::yield;
}
Status trap(Warp&, const Instruction&, u32) {
  fault("trap");
}

u32 uniform(Warp& w, u32 slot, u32 mask, const char* what) {
  const u32* const values = w.lanes<u32>(slot);
  const u32 first = values[__builtin_ctz(mask)];
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    if (values[__builtin_ctz(rest)] != first) fault("{} differs among the lanes of a warp", what);
  }
  return first;
}

enum Kind { sync, arrive, reduce };
enum Reduction { popc, all, any };

void complete(NamedBarrier& barrier) {
  barrier.arrived = 0;
  barrier.expected = 0;
  barrier.result = barrier.gathered;
  ++barrier.generation;
}

/// The warp arrives at barrier a, which `b` threads take part in, or all of the block.
NamedBarrier& arrive_at(Warp& w, const Instruction& in, u32 mask) {
  const u32 id = uniform(w, in.a, mask, "a barrier's number");
  if (id >= 16) fault("barrier {} does not exist: they are 0 to 15", id);
  const int threads =
      in.b == kNone ? 0 : static_cast<int>(uniform(w, in.b, mask, "a barrier's thread count"));
  NamedBarrier& barrier = w.block->barriers[id];
  if (threads % 32 != 0 || threads > 1024 || (in.b != kNone && threads == 0))
    fault("barrier {}: {} threads are not a multiple of 32 up to 1024", id, threads);
  if (barrier.arrived != 0 && barrier.expected != threads)
    fault("barrier {}: this warp says that {} threads take part, those before it said {}", id, threads,
          barrier.expected);
  barrier.expected = threads;
  if (barrier.arrived == 0) barrier.gathered = in.aux[1] == all ? 1 : 0;
  if (in.aux[0] == reduce) {
    const u32 values = (w.predicate(in.c) ^ (in.aux[2] != 0 ? kAll : 0)) & mask;
    if (in.aux[1] == popc) barrier.gathered += static_cast<u32>(__builtin_popcount(values));
    if (in.aux[1] == all) barrier.gathered &= values == mask;
    if (in.aux[1] == any) barrier.gathered |= values != 0;
  }
  barrier.arrived += 32;
  w.barrier.generation = barrier.generation;
  const int needed = threads == 0 ? 32 * w.block->living_warps() : threads;
  if (barrier.arrived > needed)
    fault("barrier {} is for {} threads, but {} arrive", id, needed, barrier.arrived);
  if (barrier.arrived == needed) complete(barrier);
  return barrier;
}

Status run_barrier(Warp& w, const Instruction& in, u32 mask) {
  if (mask != w.alive) return Status::blocked;  // the rest of the warp has to come first
  if (!w.barrier.arrived) {
    arrive_at(w, in, mask);
    if (in.aux[0] == arrive) return Status::next;
    w.barrier.arrived = true;
  }
  const NamedBarrier& barrier = w.block->barriers[w.lanes<u32>(in.a)[__builtin_ctz(mask)]];
  if (barrier.generation == w.barrier.generation) return Status::blocked;
  w.barrier.arrived = false;
  if (in.aux[0] == reduce) {
    if (in.aux[1] == popc) {
      each_lane(mask, [&](int lane) { w.lanes<u32>(in.dst)[lane] = barrier.result; });
    } else {
      w.set_predicate(in.dst, mask, barrier.result != 0 ? kAll : 0);
    }
  }
  return Status::next;
}

Status warp_barrier(Warp& w, const Instruction& in, u32 mask) {
  const u32 wanted = w.lanes<u32>(in.a)[__builtin_ctz(mask)] & w.alive;
  return (wanted & ~mask) != 0 ? Status::blocked : Status::next;
}

Status cluster_arrive(Warp& w, const Instruction&, u32 mask) {
  if (mask != w.alive) return Status::blocked;
  if (w.cluster_arrived) fault("barrier.cluster.arrive twice without a wait in between");
  Cluster& cluster = *w.block->cluster;
  w.cluster_arrived = true;
  w.cluster_generation = cluster.generation;
  cluster.complete_barrier_if_all_arrived();
  return Status::next;
}
Status cluster_wait(Warp& w, const Instruction&, u32 mask) {
  if (mask != w.alive) return Status::blocked;
  if (!w.cluster_arrived) fault("barrier.cluster.wait without an arrive before");
  if (w.block->cluster->generation == w.cluster_generation) return Status::blocked;
  w.cluster_arrived = false;
  return Status::next;
}

void named_barrier(Decoder& d, Instruction& in) {
  const Statement& s = d.statement();
  if (d.has("cluster")) {
    in.run = d.has("arrive") ? cluster_arrive : cluster_wait;
    return;
  }
  if (d.has("warp")) {
    in.a = d.source(d.operand(0), Type::u32);
    in.run = warp_barrier;
    return;
  }
  const bool reduces = d.has("red");
  std::size_t at = 0;
  if (reduces) {
    in.aux[1] = d.has("popc") ? popc : d.has("and") ? all : any;
    in.dst = in.aux[1] == popc ? d.target(d.operand(0)) : d.named_predicate(d.operand(0).name);
    const Operand& last = s.operands.back();
    in.c = d.named_predicate(last.name);
    in.aux[2] = last.negated;
    at = 1;
  }
  in.aux[0] = reduces ? reduce : d.has("arrive") ? arrive : sync;
  if (!reduces && !d.has("arrive") && !d.has("sync")) d.unsupported();
  in.a = d.source(d.operand(at), Type::u32);
  if (d.operands() - (reduces ? 1 : 0) > at + 1) in.b = d.source(d.operand(at + 1), Type::u32);
  in.run = run_barrier;
}

template <Handler kRun>
void fixed(Decoder&, Instruction& in) {
  in.run = kRun;
}

}  // namespace

Status end_thread(Warp& w, const Instruction&, u32 mask) {
  if (has_unfinished_bulk(w, mask))
    fault("a thread ends while bulk copies that it has issued may still read shared memory");
  w.exit(mask);
  if (w.has_ended()) w.block->note_end();
  return Status::jumped;
}

void add_control(Families& families) {
  families["bra"] = fixed<branch>;
  families["ret"] = families["exit"] = fixed<end_thread>;
  families["trap"] = families["brkpt"] = fixed<trap>;
  families["nanosleep"] = fixed<let_others>;
  for (const char* name : {"membar", "fence", "griddepcontrol", "setmaxnreg", "prefetch", "prefetchu",
                           "discard", "applypriority"}) {
    families[name] = fixed<nothing>;
  }
  families["bar"] = families["barrier"] = named_barrier;
}

}  // namespace emulator
