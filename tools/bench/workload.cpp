#include "bench/workload.h"

#include <algorithm>
#include <memory>

#include "driver/device.h"
#include "reference/random.h"
#include "reference/scalar.h"

namespace sprue::tools {
namespace {

using driver::DeviceBuffer;

void poison(DeviceBuffer& buffer) {
  buffer.fill(0xff);
  driver::synchronize_device();
}

std::vector<float> read_back(const DeviceBuffer& buffer, DType dtype) {
  std::vector<std::byte> bytes(buffer.bytes());
  buffer.copy_to_host(bytes.data(), bytes.size());
  return reference::widen(bytes, dtype);
}

Workload attention_workload(const AttentionCase& shape) {
  const reference::AttentionShape& s = shape.shape;
  struct Tensors {
    DeviceBuffer q, k, v, out, lse;
    Attention args;
  };
  const auto tensors = std::make_shared<Tensors>();
  Tensors& t = *tensors;
  t.q = random_buffer(s.q_elements(), shape.dtype, 1);
  t.k = random_buffer(s.k_elements(), shape.dtype, 2);
  t.v = random_buffer(s.v_elements(), shape.dtype, 3);
  t.out = DeviceBuffer(static_cast<std::size_t>(s.out_elements()) * size_of(shape.dtype));
  t.args = {.out = {t.out.data(), shape.dtype, {s.batch, s.seqlen_q, s.heads, s.head_dim_v}},
            .q = {t.q.data(), shape.dtype, {s.batch, s.seqlen_q, s.heads, s.head_dim}},
            .k = {t.k.data(), shape.dtype, {s.batch, s.seqlen_k, s.kv_heads, s.head_dim}},
            .v = {t.v.data(), shape.dtype, {s.batch, s.seqlen_k, s.kv_heads, s.head_dim_v}},
            .causal = s.causal,
            .scale = s.scale};
  if (shape.lse) {
    t.lse = DeviceBuffer(static_cast<std::size_t>(s.lse_elements()) * sizeof(float));
    t.args.lse = {t.lse.data(), DType::f32, {s.batch, s.heads, s.seqlen_q}};
  }
  Workload work;
  work.flops = attention_flops(s);
  work.bytes = static_cast<double>(t.q.bytes() + t.k.bytes() + t.v.bytes() + t.out.bytes() + t.lse.bytes());
  work.dtype = shape.dtype;
  work.prepare = [tensors](Runtime& runtime) { return prepare(runtime, tensors->args); };
  work.launch = [tensors](Runtime& runtime, Stream stream, int) {
    attention(runtime, tensors->args, stream);
  };
  work.poison = [tensors] { poison(tensors->out); };
  work.result = [tensors, dtype = shape.dtype] { return read_back(tensors->out, dtype); };
  return work;
}

Workload rms_norm_workload(const RmsNormCase& shape) {
  struct Tensors {
    DeviceBuffer x, y, weight;
    RmsNorm args;
  };
  const std::int64_t elements = shape.rows * shape.hidden;
  const std::int64_t set_bytes = 2 * elements * static_cast<std::int64_t>(size_of(shape.dtype));
  const std::int64_t enough = 4 * driver::device_info(driver::current_device()).l2_bytes;

  Workload work;
  work.sets = static_cast<int>(std::clamp<std::int64_t>((enough + set_bytes - 1) / set_bytes, 1, 64));
  const auto sets = std::make_shared<std::vector<Tensors>>(static_cast<std::size_t>(work.sets));
  for (Tensors& t : *sets) {
    t.x = random_buffer(elements, shape.dtype, 1);
    t.y = DeviceBuffer(t.x.bytes());
    t.args = {.y = {t.y.data(), shape.dtype, {shape.rows, shape.hidden}},
              .x = {t.x.data(), shape.dtype, {shape.rows, shape.hidden}}};
    if (shape.weight) {
      t.weight = random_buffer(shape.hidden, shape.dtype, 2);
      t.args.weight = {t.weight.data(), shape.dtype, {shape.hidden}};
    }
  }
  work.bytes = static_cast<double>(set_bytes) + static_cast<double>(sets->front().weight.bytes());
  work.dtype = shape.dtype;
  work.prepare = [sets](Runtime& runtime) { return prepare(runtime, sets->front().args); };
  work.launch = [sets](Runtime& runtime, Stream stream, int set) {
    rms_norm(runtime, (*sets)[static_cast<std::size_t>(set)].args, stream);
  };
  work.poison = [sets] { poison(sets->front().y); };
  work.result = [sets, dtype = shape.dtype] { return read_back(sets->front().y, dtype); };
  return work;
}

}  // namespace

DeviceBuffer random_buffer(std::int64_t elements, DType dtype, std::uint64_t seed) {
  DeviceBuffer buffer(static_cast<std::size_t>(elements) * size_of(dtype));
  const auto values = reference::random_normal(std::min<std::int64_t>(elements, 1 << 22), seed, dtype);
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

Workload make_workload(const Case& shape) {
  if (const auto* attention = std::get_if<AttentionCase>(&shape)) return attention_workload(*attention);
  return rms_norm_workload(std::get<RmsNormCase>(shape));
}

double attention_flops(const reference::AttentionShape& shape) {
  return 2 * shape.visible_pairs() * static_cast<double>(shape.head_dim + shape.head_dim_v);
}

}  // namespace sprue::tools
