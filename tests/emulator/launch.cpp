#include "emulator/launch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace emulator {
namespace {

/// Makes the blocks: of a cluster, or, of a cooperative launch, of the whole grid.
void fill(Cluster& cluster, const unsigned (&extent)[3], Range* ranges) {
  const Launch& launch = *cluster.launch;
  const Program& program = *launch.program;
  const std::size_t shared_bytes = program.dynamic_shared_begin + launch.shared_bytes - kSharedBase;
  const int threads = static_cast<int>(launch.threads());
  for (unsigned rank = 0; rank < cluster.blocks.size(); ++rank) {
    Block& block = cluster.blocks[rank];
    block.cluster = &cluster;
    block.rank = rank;
    block.id[0] = cluster.first[0] + rank % extent[0];
    block.id[1] = cluster.first[1] + rank / extent[0] % extent[1];
    block.id[2] = cluster.first[2] + rank / extent[0] / extent[1];
    block.shared.assign(shared_bytes, std::byte{0xFF});
    const int warps = (threads + 31) / 32;
    block.warps.reserve(static_cast<std::size_t>(warps));
    for (int i = 0; i < warps; ++i) {
      const int lanes = std::min(32, threads - 32 * i);
      block.warps.emplace_back(block, i, lanes == 32 ? kAll : (1u << lanes) - 1, ranges);
    }
  }
}

}  // namespace

void run(const Launch& launch) {
  unsigned extent[3], count[3];
  for (int d = 0; d < 3; ++d) {
    extent[d] = launch.cooperative ? launch.grid[d] : launch.cluster[d];
    count[d] = launch.grid[d] / extent[d];
  }
  const std::uint64_t clusters = std::uint64_t{count[0]} * count[1] * count[2];
  std::atomic<std::uint64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    std::vector<Range> ranges(launch.program->memory_instructions + 1);
    for (std::uint64_t i = next++; i < clusters; i = next++) {
      try {
        const unsigned first[3] = {static_cast<unsigned>(i % count[0]) * extent[0],
                                   static_cast<unsigned>(i / count[0] % count[1]) * extent[1],
                                   static_cast<unsigned>(i / count[0] / count[1]) * extent[2]};
        Cluster cluster;
        cluster.launch = &launch;
        std::copy(first, first + 3, cluster.first);
        cluster.blocks.resize(std::size_t{extent[0]} * extent[1] * extent[2]);
        fill(cluster, extent, ranges.data());
        cluster.run();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = clusters;
      }
    }
  };
  const std::uint64_t threads =
      std::min<std::uint64_t>(clusters, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> helpers;
  for (std::uint64_t t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace emulator
