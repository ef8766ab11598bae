// Workload: an operator at one shape with random tensors on the current GPU, ready to be launched.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/cases.h"
#include "driver/memory.h"
#include "sprue/ops.h"

namespace sprue::tools {

struct Workload {
  double flops = 0;  ///< Of one launch, where arithmetic is the limit; else 0.
  double bytes = 0;  ///< Every input read once and every output written once.
  int sets = 1;      ///< Copies of the tensors: so many that none stays in L2, if memory is the limit.
  DType dtype = DType::bf16;
  std::function<KernelInfo(Runtime&)> prepare;
  std::function<void(Runtime&, Stream, int set)> launch;
  std::function<void()> poison;                ///< Fills the output of set 0 with NaN.
  std::function<std::vector<float>()> result;  ///< The output of set 0.
};

/// CudaError when the tensors do not fit into the GPU's memory.
Workload make_workload(const Case& shape);

/// Normal values on the current GPU; beyond the first few million they repeat.
driver::DeviceBuffer random_buffer(std::int64_t elements, DType dtype, std::uint64_t seed);

/// 2 * pairs * (head_dim + head_dim_v), over the pairs of a query and a key that it sees.
double attention_flops(const reference::AttentionShape& shape);

}  // namespace sprue::tools
