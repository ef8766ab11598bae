// Warpgroup matrix multiply-accumulate (wgmma, sm_90a): operand descriptors and the order of asynchronous
// groups. Every function is executed by all 128 threads of a warpgroup. The instructions themselves have up
// to 128 operands and are written out where they are used.
//
// Operands in shared memory are tiles of 16-bit elements stored as panels: panel p holds columns [p * kPanel,
// (p + 1) * kPanel) as rows of kSwizzle = 2 * kPanel bytes, whose 16-byte chunks are permuted as the copy
// engine's swizzle of that width does. A panel starts at a multiple of 1024 bytes.
#pragma once

//% include "device/types.cuh"

namespace device {

// The swizzle of a tile of so many columns: its panels are as wide as leaves no 16 columns unused.
__host__ __device__ constexpr int swizzle_of(int columns) {
  const int padded = round_up(columns, 16);
  return padded % 64 == 0 ? 128 : padded % 32 == 0 ? 64 : 32;
}

// A descriptor is 64 bits wide. Its high word is the same for all tiles of one width; its low word holds the
// address in units of 16 bytes and is what one adds to in order to step through a tile.
__host__ __device__ constexpr u32 descriptor_high(int swizzle) {
  return static_cast<u32>(8 * swizzle / 16) | (swizzle == 128 ? 1u : swizzle == 64 ? 2u : 3u) << 30;
}

// The low word for a tile whose rows are contiguous along the dimension that is summed over. A step of 16
// columns is 32 bytes.
__device__ __forceinline__ u32 row_descriptor(u32 address) {
  return address >> 4;
}

// The low word for a tile whose rows are the dimension that is summed over. A step of 16 rows is 16 *
// kSwizzle bytes.
template <int kPanelBytes>
__device__ __forceinline__ u32 column_descriptor(u32 address) {
  return (address >> 4) + (kPanelBytes / 16 << 16);
}

// Before the first instruction that reads registers which ordinary code has written.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Closes the group of instructions issued since the last commit.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most kPending groups are unfinished.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from moving accesses to these registers across this point: it does not know that an
// instruction in flight uses them.
template <int kCount>
__device__ __forceinline__ void pin(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(u32 (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(registers[i])::"memory");
}

// Gives registers back to, or takes them from, the multiprocessor's pool. By all warps of a warpgroup.
template <int kRegisters>
__device__ __forceinline__ void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void acquire_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace device
