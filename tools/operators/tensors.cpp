#include "operators/tensors.h"

#include <algorithm>

#include "driver/device.h"
#include "driver/stream.h"
#include "reference/random.h"
#include "reference/scalar.h"

namespace sprue::tools {
using driver::DeviceBuffer;

DeviceBuffer random_buffer(std::int64_t elements, DType dtype, std::uint64_t seed, float deviation) {
  DeviceBuffer buffer(static_cast<std::size_t>(elements) * size_of(dtype));
  const auto values =
      reference::random_normal(std::min<std::int64_t>(elements, 1 << 22), seed, dtype, deviation);
  const auto bytes = reference::narrow(values, dtype);
  buffer.copy_from_host(bytes.data(), bytes.size());
  for (std::size_t done = bytes.size(); done < buffer.bytes();) {
    const std::size_t more = std::min(done, buffer.bytes() - done);
    driver::copy_async(static_cast<char*>(buffer.data()) + done, buffer.data(), more, nullptr);
    done += more;
  }
  driver::synchronize_device();  // other streams do not wait for the default one
  return buffer;
}

const Tensors::Entry* Tensors::find(const std::string& name) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

const Tensor& Tensors::add(const std::string& name, const HostTensor& host) {
  DeviceBuffer buffer(host.bytes.size());
  buffer.copy_from_host(host.bytes.data(), host.bytes.size());
  const Tensor tensor(buffer.data(), host.dtype, Extents(host.shape));
  return entries_.emplace_back(Entry{name, false, tensor, std::move(buffer)}).tensor;
}

ConstTensor Tensors::input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                           float deviation) {
  if (files_ != nullptr && files_->count(name) != 0) return add(name, files_->at(name));
  const Extents extents(shape);
  DeviceBuffer buffer = random_buffer(extents.elements(), dtype, seed_++, deviation);
  const Tensor tensor(buffer.data(), dtype, extents);
  return entries_.emplace_back(Entry{name, false, tensor, std::move(buffer)}).tensor;
}

ConstTensor Tensors::input(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                           const std::vector<float>& values) {
  if (files_ != nullptr && files_->count(name) != 0) return add(name, files_->at(name));
  return add(name, {dtype, shape, reference::narrow(values, dtype)});
}

Tensor Tensors::output(const std::string& name, DType dtype, const Extents& extents) {
  DeviceBuffer buffer(static_cast<std::size_t>(extents.elements()) * size_of(dtype));
  buffer.fill(0xff);
  const Tensor tensor(buffer.data(), dtype, extents);
  return entries_.emplace_back(Entry{name, true, tensor, std::move(buffer)}).tensor;
}

Tensor Tensors::scratch(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape) {
  output(name, dtype, shape);
  entries_.back().output = false;
  return entries_.back().tensor;
}

bool Tensors::has(const std::string& name) const {
  return find(name) != nullptr;
}

HostTensor Tensors::read(const std::string& name) const {
  const Entry* const entry = find(name);
  if (entry == nullptr) return {};
  const Extents& extents = entry->tensor.extents;
  HostTensor host{entry->tensor.dtype, {extents.shape.begin(), extents.shape.begin() + extents.rank}, {}};
  host.bytes.resize(entry->buffer.bytes());
  driver::synchronize(nullptr);
  entry->buffer.copy_to_host(host.bytes.data(), host.bytes.size());
  return host;
}

std::vector<float> Tensors::values(const std::string& name) const {
  const HostTensor host = read(name);
  return reference::widen(host.bytes, host.dtype);
}

std::vector<std::string> Tensors::outputs() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) {
    if (entry.output) names.push_back(entry.name);
  }
  return names;
}

void Tensors::poison() {
  for (Entry& entry : entries_) {
    if (entry.output) entry.buffer.fill(0xff);
  }
  driver::synchronize_device();
}

double Tensors::bytes() const {
  double sum = 0;
  for (const Entry& entry : entries_) sum += static_cast<double>(entry.buffer.bytes());
  return sum;
}

}  // namespace sprue::tools
