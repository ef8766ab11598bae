// A CUDA driver made of counters: what the runtime asks of libcuda, seen without a GPU.
#pragma once

#include <cstddef>

/// Three devices: 0 and 1 are sm_90, 2 is sm_75. Every call is counted, nothing runs.
struct FakeCuda {
  int libraries_loaded = 0, libraries_unloaded = 0;
  int kernels_prepared = 0;  ///< Shared memory attributes set: once per kernel and device.
  int launches = 0;
  bool capturing = false;                              ///< What every stream says.
  int launch_result = 0;                               ///< A CUresult.
  unsigned blocks = 0, threads = 0, shared_bytes = 0;  ///< Of the latest launch.
  void* stream = nullptr;
  std::size_t params_bytes = 0;  ///< How much of the kernel's argument a launch copies to `params`.
  alignas(16) unsigned char params[512] = {};
  bool out_of_memory = false;
  int allocations = 0, frees = 0;
};

extern "C" FakeCuda fake_cuda;
/// Makes a device current for the calling thread; -1: none.
extern "C" void fake_cuda_set_device(int device);
