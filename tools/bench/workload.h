// Workload: an operator at one shape with random tensors on the current GPU, ready to be launched.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "operators/operator.h"

namespace sprue::tools {

struct Result {
  std::string output;
  HostTensor tensor;
};

struct Workload {
  double flops = 0;  ///< Of one launch, where arithmetic is the limit; else 0.
  double bytes = 0;  ///< Every input read once and every output written once.
  int sets = 1;      ///< Copies of the tensors: so many that none stays in L2, if memory is the limit.
  DType dtype = DType::bf16;
  std::function<KernelInfo(Runtime&)> prepare;
  std::function<void(Runtime&, Stream, int set)> launch;
  std::function<void()> poison;                  ///< Fills the outputs of set 0 with NaN.
  std::function<std::vector<Result>()> results;  ///< The outputs of set 0.
};

/// CudaError when the tensors do not fit into the GPU's memory.
Workload make_workload(const Case& shape);

/// Bytes of one set, that of the tensors unless the case knows better.
double bytes_of(const Case& shape, const Tensors& tensors);

}  // namespace sprue::tools
