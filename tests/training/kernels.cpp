// Kernels: compiled by NVRTC, launched by the driver, as Sprue's own are.
#include "training/kernels.h"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "compiler/compiler.h"
#include "driver/device.h"
#include "driver/launch.h"
#include "training/kernels_text.h"
#include "training/parameters.h"

namespace sprue::training {
namespace {

constexpr unsigned kThreads = 256;

std::string compiled(const Runtime& runtime) {
  const compiler::Compiler compiler({.nvrtc = runtime.options().nvrtc});
  const Source source = {{"kernels", {}, {}}, kKernelsText, {}};
  return compiler.compile(source, driver::device_info(driver::current_device()).architecture).image;
}

driver::Module loaded(const std::string& image, const char* entry) {
  driver::Module module(image, entry);
  module.prepare(driver::current_device(), 0);
  return module;
}

unsigned blocks(std::int64_t count, std::int64_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

int extent(const ConstTensor& tensor, int dimension) {
  return static_cast<int>(tensor.extents.shape[dimension]);
}

template <class T>
T* data(const Tensor& tensor) {
  return static_cast<T*>(tensor.data);
}
template <class T>
const T* data(const ConstTensor& tensor) {
  return static_cast<const T*>(tensor.data);
}

}  // namespace

Kernels::Kernels(const Runtime& runtime) : Kernels(compiled(runtime)) {}

Kernels::Kernels(const std::string& image)
    : matmul_(loaded(image, "matmul")),
      embed_(loaded(image, "embed")),
      embed_backward_(loaded(image, "embed_backward")),
      adamw_(loaded(image, "adamw")) {}

void Kernels::matmul(const Tensor& c, const ConstTensor& a, const ConstTensor& b) const {
  const int m = extent(c, 0), n = extent(c, 1), k = extent(a, 1);
  const bool fits = extent(a, 0) == m && extent(b, 0) == k && extent(b, 1) == n && c.extents.contiguous();
  if (!fits) {
    throw std::logic_error("matmul: " + c.extents.print() + " is not " + a.extents.print() + " times " +
                           b.extents.print());
  }
  const MatmulParams params = {.c = data<bf16_bits>(c),
                               .a = data<bf16_bits>(a),
                               .b = data<bf16_bits>(b),
                               .m = m,
                               .n = n,
                               .k = k,
                               .a_row = a.extents.stride[0],
                               .a_column = a.extents.stride[1],
                               .b_row = b.extents.stride[0],
                               .b_column = b.extents.stride[1]};
  driver::launch({.kernel = matmul_.kernel(), .grid = {blocks(n, 16), blocks(m, 16), 1}, .threads = kThreads},
                 &params);
}

void Kernels::embed(const Tensor& x, const ConstTensor& table, const ConstTensor& tokens) const {
  const EmbedParams params = {.x = data<bf16_bits>(x),
                              .table = data<bf16_bits>(table),
                              .tokens = data<int>(tokens),
                              .hidden = extent(table, 1)};
  const auto count = static_cast<unsigned>(tokens.extents.elements());
  driver::launch({.kernel = embed_.kernel(), .grid = {count, 1, 1}, .threads = kThreads}, &params);
}

void Kernels::embed_backward(const Tensor& dtable, const ConstTensor& dx, const ConstTensor& tokens) const {
  const EmbedBackwardParams params = {.dtable = data<bf16_bits>(dtable),
                                      .dx = data<bf16_bits>(dx),
                                      .tokens = data<int>(tokens),
                                      .count = static_cast<int>(tokens.extents.elements()),
                                      .hidden = extent(dtable, 1)};
  const auto rows = static_cast<unsigned>(extent(dtable, 0));
  driver::launch({.kernel = embed_backward_.kernel(), .grid = {rows, 1, 1}, .threads = kThreads}, &params);
}

void Kernels::adamw(Weight& weight, const AdamW& settings, int step) const {
  const Tensor master = weight.master.tensor(), gradient = weight.gradient.tensor();
  const bool narrow = gradient.dtype == DType::bf16;
  const std::int64_t count = master.extents.elements();
  const AdamWParams params = {
      .master = data<float>(master),
      .mean = data<float>(weight.mean.tensor()),
      .square = data<float>(weight.square.tensor()),
      .copy = weight.copy ? data<bf16_bits>(weight.copy->tensor()) : nullptr,
      .gradient_bf16 = narrow ? data<bf16_bits>(gradient) : nullptr,
      .gradient_f32 = narrow ? nullptr : data<float>(gradient),
      .count = static_cast<int>(count),
      .rate = settings.rate,
      .beta1 = settings.beta1,
      .beta2 = settings.beta2,
      .eps = settings.eps,
      .decay = settings.decay,
      .mean_correction = static_cast<float>(1 - std::pow(double{settings.beta1}, step)),
      .square_correction = static_cast<float>(1 - std::pow(double{settings.beta2}, step))};
  driver::launch({.kernel = adamw_.kernel(), .grid = {blocks(count, kThreads), 1, 1}, .threads = kThreads},
                 &params);
}

ConstTensor transposed(const ConstTensor& matrix) {
  ConstTensor result = matrix;
  std::swap(result.extents.shape[0], result.extents.shape[1]);
  std::swap(result.extents.stride[0], result.extents.stride[1]);
  return result;
}

}  // namespace sprue::training
