#include "operand.h"

#include "driver/stream.h"
#include "reference/random.h"
#include "reference/scalar.h"

namespace sprue::tools {
namespace {

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  return elements;
}

}  // namespace

Operand::Operand(HostTensor host) : host_(std::move(host)), buffer_(host_.bytes.size()) {
  buffer_.copy_from_host(host_.bytes.data(), host_.bytes.size());
}

Operand::Operand(DType dtype, std::vector<std::int64_t> shape)
    : host_{dtype, std::move(shape), {}},
      buffer_(static_cast<std::size_t>(product(host_.shape)) * size_of(dtype)) {
  buffer_.fill(0xff);
}

const HostTensor& Operand::read_back() {
  driver::synchronize(nullptr);
  host_.bytes.resize(buffer_.bytes());
  buffer_.copy_to_host(host_.bytes.data(), host_.bytes.size());
  return host_;
}

std::vector<float> Operand::values() const {
  return reference::widen(host_.bytes, host_.dtype);
}

HostTensor random_tensor(const std::vector<std::int64_t>& shape, DType dtype, std::uint64_t seed) {
  return {dtype, shape, reference::narrow(reference::random_normal(product(shape), seed, dtype), dtype)};
}

}  // namespace sprue::tools
