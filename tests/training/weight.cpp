#include "training/weight.h"

namespace sprue::training {

Weight::Weight(const InitialWeight& initial)
    : master(DType::f32, initial.shape),
      mean(DType::f32, initial.shape),
      square(DType::f32, initial.shape),
      gradient(initial.dtype, initial.shape) {
  const std::vector<float> zeros(initial.values.size());
  master.write(initial.values);
  mean.write(zeros);
  square.write(zeros);
  if (initial.dtype != DType::f32) copy.emplace(initial.dtype, initial.shape).write(initial.values);
}

}  // namespace sprue::training
