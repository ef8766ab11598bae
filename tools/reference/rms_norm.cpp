// RMS norm on the CPU, in loops that one can check by eye.
#include "reference/rms_norm.h"

#include <cmath>

#include "reference/parallel.h"
#include "reference/scalar.h"

namespace sprue::reference {

std::vector<double> rms_norm(const RmsNormInputs& in) {
  std::vector<double> y(in.x.size());
  parallel(in.rows, [&](std::int64_t r) {
    const float* x = in.x.data() + r * in.hidden;
    double squares = 0;
    for (std::int64_t c = 0; c < in.hidden; ++c) squares += static_cast<double>(x[c]) * x[c];
    const double factor =
        1 / std::sqrt(squares / static_cast<double>(in.hidden) + static_cast<double>(in.eps));
    for (std::int64_t c = 0; c < in.hidden; ++c) {
      y[r * in.hidden + c] = x[c] * factor * (in.weight.empty() ? 1.0 : in.weight[c]);
    }
  });
  return y;
}

std::vector<float> naive_rms_norm(const RmsNormInputs& in, DType dtype) {
  std::vector<float> y(in.x.size());
  parallel(in.rows, [&](std::int64_t r) {
    const float* x = in.x.data() + r * in.hidden;
    float squares = 0;
    for (std::int64_t c = 0; c < in.hidden; ++c) squares += x[c] * x[c];
    const float factor = 1 / std::sqrt(squares / static_cast<float>(in.hidden) + in.eps);
    for (std::int64_t c = 0; c < in.hidden; ++c) {
      const float normalised = rounded(x[c] * factor, dtype);
      y[r * in.hidden + c] = in.weight.empty() ? normalised : rounded(normalised * in.weight[c], dtype);
    }
  });
  return y;
}

}  // namespace sprue::reference
