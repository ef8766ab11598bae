// Philox 4x32 with 7 rounds: 16 random bytes for each pair of key and counter (Salmon et al. 2011, "Parallel random
// numbers: as easy as 1, 2, 3").
#pragma once

//% include "device/types.cuh"

namespace device {

__device__ __forceinline__ uint4 philox_round(uint4 counter, uint2 key) {
  const u64 a = u64{0xD2511F53} * counter.x, b = u64{0xCD9E8D57} * counter.z;
  return {static_cast<u32>(b >> 32) ^ counter.y ^ key.x, static_cast<u32>(b),
          static_cast<u32>(a >> 32) ^ counter.w ^ key.y, static_cast<u32>(a)};
}

__device__ __forceinline__ uint4 philox(u64 key, uint4 counter) {
  uint2 k{static_cast<u32>(key), static_cast<u32>(key >> 32)};
#pragma unroll
  for (int round = 0; round < 7; ++round) {
    counter = philox_round(counter, k);
    k.x += 0x9E3779B9;
    k.y += 0xBB67AE85;
  }
  return counter;
}

}  // namespace device
