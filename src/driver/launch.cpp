#include "driver/launch.h"

#include <fmt/format.h>

#include "driver/api.h"

namespace sprue::driver {
namespace {

bool has_cluster(const LaunchConfig& config) {
  return config.cluster[0] != 1 || config.cluster[1] != 1 || config.cluster[2] != 1;
}

CUresult launch_with_attributes(const LaunchConfig& config, void** arguments) {
  CUlaunchAttribute attributes[3];
  unsigned count = 0;
  const auto add = [&](CUlaunchAttributeID id) -> CUlaunchAttributeValue& {
    attributes[count] = {};
    attributes[count].id = id;
    return attributes[count++].value;
  };
  if (has_cluster(config)) {
    auto& shape = add(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION).clusterDim;
    shape.x = config.cluster[0];
    shape.y = config.cluster[1];
    shape.z = config.cluster[2];
  }
  if (config.programmatic) {
    add(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION).programmaticStreamSerializationAllowed = 1;
  }
  if (config.cooperative) add(CU_LAUNCH_ATTRIBUTE_COOPERATIVE).cooperative = 1;

  CUlaunchConfig shape = {};
  shape.gridDimX = config.grid[0];
  shape.gridDimY = config.grid[1];
  shape.gridDimZ = config.grid[2];
  shape.blockDimX = config.threads;
  shape.blockDimY = shape.blockDimZ = 1;
  shape.sharedMemBytes = config.shared_bytes;
  shape.hStream = config.stream;
  shape.attrs = attributes;
  shape.numAttrs = count;
  return api().cuLaunchKernelEx(&shape, static_cast<CUfunction>(config.kernel), arguments, nullptr);
}

[[noreturn]] void refuse(CUresult result, const LaunchConfig& config, const char* call) {
  const auto& [x, y, z] = config.grid;
  const auto& [cx, cy, cz] = config.cluster;
  fail(result, call,
       fmt::format(
           "grid [{}, {}, {}], {} threads, {} bytes of dynamic shared memory, cluster [{}, {}, {}]{}{}", x, y,
           z, config.threads, config.shared_bytes, cx, cy, cz, config.programmatic ? ", programmatic" : "",
           config.cooperative ? ", cooperative" : ""));
}

}  // namespace

void launch(const LaunchConfig& config, const void* params) {
  void* arguments[] = {const_cast<void*>(params)};
  if (has_cluster(config) || config.programmatic || config.cooperative) {
    const CUresult result = launch_with_attributes(config, arguments);
    if (result != CUDA_SUCCESS) [[unlikely]]
      refuse(result, config, "cuLaunchKernelEx");
    return;
  }
  const CUresult result = api().cuLaunchKernel(static_cast<CUfunction>(config.kernel), config.grid[0],
                                               config.grid[1], config.grid[2], config.threads, 1, 1,
                                               config.shared_bytes, config.stream, arguments, nullptr);
  if (result != CUDA_SUCCESS) [[unlikely]]
    refuse(result, config, "cuLaunchKernel");
}

}  // namespace sprue::driver
