#include "bench/workload.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "driver/device.h"

namespace sprue::tools {
namespace {

struct Set {
  Tensors tensors;
  Call call;

  explicit Set(const Case& shape) : call(shape.call(tensors)) {}
};

std::vector<Result> results_of(const Tensors& tensors) {
  std::vector<Result> results;
  for (const std::string& name : tensors.outputs()) results.push_back({name, tensors.read(name)});
  return results;
}

}  // namespace

double bytes_of(const Case& shape, const Tensors& tensors) {
  return shape.bytes != 0 ? shape.bytes : tensors.bytes();
}

Workload make_workload(const Case& shape) {
  const auto sets = std::make_shared<std::deque<Set>>();
  const Set& first = sets->emplace_back(shape);
  Workload work;
  work.flops = shape.flops;
  work.bytes = bytes_of(shape, first.tensors);
  work.dtype = shape.dtype;
  if (work.flops == 0) {
    const auto enough = 4 * static_cast<double>(driver::device_info(driver::current_device()).l2_bytes);
    work.sets =
        static_cast<int>(std::clamp(std::ceil(enough / std::max(first.tensors.bytes(), 1.0)), 1.0, 64.0));
  }
  while (sets->size() < static_cast<std::size_t>(work.sets)) sets->emplace_back(shape);
  work.prepare = [sets](Runtime& runtime) { return sets->front().call.prepare(runtime); };
  work.launch = [sets](Runtime& runtime, Stream stream, int set) {
    (*sets)[static_cast<std::size_t>(set)].call.launch(runtime, stream);
  };
  work.poison = [sets] { sets->front().tensors.poison(); };
  work.results = [sets] { return results_of(sets->front().tensors); };
  return work;
}

}  // namespace sprue::tools
