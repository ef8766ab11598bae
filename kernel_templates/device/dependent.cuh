// Programmatic dependent launch (sm_90 and later): a kernel whose manifest says `programmatic` begins before the one ahead of
// it in the stream has ended. Elsewhere kernels follow each other, and nothing is to be done.
#pragma once

namespace device {

// Lets the next kernel's blocks begin once all blocks of this one have come here or ended; it waits by itself for what
// this one writes.
__device__ __forceinline__ void let_next_kernel_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits until the kernel ahead has ended and what it wrote is visible. By all threads of a programmatic kernel, before
// they read or write any tensor.
__device__ __forceinline__ void wait_for_kernel_ahead() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace device
