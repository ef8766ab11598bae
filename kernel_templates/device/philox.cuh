// Philox 4x32 with 7 rounds: 16 random bytes for each pair of key and counter (Salmon et al. 2011, "Parallel
// random numbers: as easy as 1, 2, 3").
#pragma once

//% include "device/types.cuh"

namespace device {

__device__ __forceinline__ uint4 philox_round(uint4 counter, uint2 key) {
  const u64 a = u64{0xD2511F53} * counter.x, b = u64{0xCD9E8D57} * counter.z;
  return {static_cast<u32>(b >> 32) ^ counter.y ^ key.x, static_cast<u32>(b),
          static_cast<u32>(a >> 32) ^ counter.w ^ key.y, static_cast<u32>(a)};
}

// `keys` are the rounds' keys, two words each: the key plus multiples of {0x9E3779B9, 0xBB67AE85}. Read from
// a kernel's parameters they cost neither additions nor registers.
__device__ __forceinline__ uint4 philox(const u32 (&keys)[14], uint4 counter) {
#pragma unroll
  for (int round = 0; round < 7; ++round)
    counter = philox_round(counter, {keys[2 * round], keys[2 * round + 1]});
  return counter;
}

}  // namespace device
