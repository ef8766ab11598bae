// A CUDA driver made of counters: what the runtime asks of libcuda, seen without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

/// What a tensor map was made of; dimensions are innermost first, as the driver wants them.
struct FakeTensorMap {
  int type, rank, swizzle;
  const void* data;
  std::uint64_t shape[5], stride_bytes[4];
  std::uint32_t box[5];
};

/// Three devices: 0 and 1 are sm_90, 2 is sm_75. Every call is counted, nothing runs.
struct FakeCuda {
  int libraries_loaded = 0, libraries_unloaded = 0;
  int kernels_prepared = 0;  ///< Shared memory attributes set: once per kernel and device.
  int launches = 0;
  bool capturing = false;                              ///< What every stream says.
  int launch_result = 0;                               ///< A CUresult.
  unsigned blocks = 0, threads = 0, shared_bytes = 0;  ///< Of the latest launch.
  void* stream = nullptr;
  std::size_t (*params_bytes)(const char* kernel) =
      nullptr;                                   ///< The size of the kernel's argument; not given: 0.
  alignas(128) unsigned char params[2048] = {};  ///< The argument of the latest launch.
  int tensor_maps_made = 0;
  FakeTensorMap tensor_maps[4] = {};  ///< The latest; a map's first byte says which of them it is.
  bool out_of_memory = false;
  int allocations = 0, frees = 0;
};

extern "C" FakeCuda fake_cuda;
/// Makes a device current for the calling thread; -1: none.
extern "C" void fake_cuda_set_device(int device);
