// Rows of tensors with more elements, or strides, than 32 bits count: they must come out as the same rows alone do, but for
// the rounding of sums in another order.
// Skipped where the memory is not there.
#include <algorithm>
#include <cmath>
#include <functional>

#include "driver/device.h"
#include "ops/fixture.h"
#include "ops/large_buffer.h"
#include "reference/random.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
namespace {

constexpr std::int64_t kColumns = 8192, kRows = kFar / kColumns + 5;

/// An operator on `in` and `out`, [rows, kColumns] each, of which all have the same strides.
using Call = std::function<void(std::span<const ConstTensor> in, std::span<const Tensor> out)>;

std::vector<float> values_of(std::int64_t row, std::size_t tensor) {
  return reference::random_normal(kColumns, static_cast<std::uint64_t>(7 * row) + tensor, kType);
}

/// What the operator makes of one row alone.
std::vector<std::vector<float>> alone(const Call& call, std::int64_t row, std::size_t inputs, std::size_t outputs) {
  std::vector<DeviceTensor> tensors;
  for (std::size_t t = 0; t < inputs + outputs; ++t) tensors.emplace_back(kType, std::vector{std::int64_t{1}, kColumns});
  std::vector<ConstTensor> in;
  std::vector<Tensor> out;
  for (std::size_t t = 0; t < inputs; ++t) {
    tensors[t].write(values_of(row, t));
    in.push_back(tensors[t].tensor());
  }
  for (std::size_t t = inputs; t < tensors.size(); ++t) out.push_back(tensors[t].tensor());
  call(in, out);
  driver::synchronize_device();
  std::vector<std::vector<float>> results;
  for (std::size_t t = inputs; t < tensors.size(); ++t) results.push_back(tensors[t].read());
  return results;
}

bool same(const std::vector<float>& results, const std::vector<float>& wanted) {
  return std::equal(results.begin(), results.end(), wanted.begin(), wanted.end(),
                    [](float a, float b) { return std::abs(a - b) <= std::abs(b) / 128; });
}

void check_large(std::size_t inputs, std::size_t outputs, const Call& call) {
  std::vector<driver::DeviceBuffer> buffers;
  for (std::size_t t = 0; t < inputs + outputs; ++t) {
    auto buffer = buffer_of(kRows * kColumns);
    if (!buffer) SKIP_TEST("less than 5 GB of free memory for each tensor");
    buffers.push_back(std::move(*buffer));
  }
  const std::int64_t last = kRows - 1;
  const auto check = [&](std::int64_t count, std::int64_t stride, std::initializer_list<std::int64_t> checked) {
    std::vector<ConstTensor> in;
    std::vector<Tensor> out;
    for (std::size_t t = 0; t < buffers.size(); ++t) {
      const Tensor tensor(buffers[t].data(), kType, {count, kColumns}, {stride, 1});
      if (t < inputs) {
        in.push_back(tensor);
      } else {
        buffers[t].fill(0xff);
        out.push_back(tensor);
      }
    }
    call(in, out);
    driver::synchronize_device();
    for (const std::int64_t row : checked) {
      INFO(count << " rows, row " << row);
      const auto wanted = alone(call, row, inputs, outputs);
      for (std::size_t t = 0; t < outputs; ++t)
        CHECK(same(get(buffers[inputs + t], row * kColumns, kColumns), wanted[t]));
    }
  };
  for (std::size_t t = 0; t < inputs; ++t) {
    fill_random(buffers[t], t);
    for (const std::int64_t row : {std::int64_t{0}, kRows / 2, last - 5, last})
      put(buffers[t], row * kColumns, values_of(row, t));
  }
  check(kRows, kColumns, {0, kRows / 2, last - 5, last});
  check(2, last * kColumns, {0, last});
}

}  // namespace

TEST_CASE("norms: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_large(2, 2, [](auto in, auto out) {
    layer_norm(shared_runtime(), {.y = out[0], .x = in[0], .residual = in[1], .residual_out = out[1]});
  });
  check_large(2, 1, [](auto in, auto out) {
    rms_norm_backward(shared_runtime(), {.dx = out[0], .dy = in[0], .z = in[1]});
  });
}

TEST_CASE("softmax: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_large(1, 1, [](auto in, auto out) { softmax(shared_runtime(), {.y = out[0], .x = in[0]}); });
  check_large(2, 1, [](auto in, auto out) {
    softmax_backward(shared_runtime(), {.dx = out[0], .dy = in[0], .y = in[1]});
  });
}

TEST_CASE("activation: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_large(2, 1, [](auto in, auto out) { activation(shared_runtime(), {.y = out[0], .x = in[0], .gate = in[1]}); });
  check_large(3, 2, [](auto in, auto out) {
    activation_backward(shared_runtime(),
                        {.dx = out[0], .dy = in[0], .x = in[1], .dgate = out[1], .gate = in[2]});
  });
}

TEST_CASE("cross_entropy: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  check_large(1, 1, [](auto in, auto out) {
    const std::int64_t rows = in[0].extents.shape[0];
    DeviceTensor loss(DType::f32, {rows}), labels(DType::i32, {rows});
    labels.write(std::vector<float>(static_cast<std::size_t>(rows), 77));
    cross_entropy(shared_runtime(),
                  {.loss = loss.tensor(), .logits = in[0], .labels = labels.tensor(), .dlogits = out[0],
                   .options = {.reduction = Reduction::none}});
    driver::synchronize_device();
  });
}

TEST_CASE("rope: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  DeviceTensor cos(DType::f32, {1, 64}), sin(DType::f32, {1, 64});
  cos.write(std::vector<float>(64, std::cos(0.3f)));
  sin.write(std::vector<float>(64, std::sin(0.3f)));
  check_large(1, 1, [&](auto in, auto out) {
    const auto heads = [](const auto& rows) {
      const Extents& e = rows.extents;
      return std::decay_t<decltype(rows)>(rows.data, kType, {e.shape[0], 1, kColumns / 128, 128},
                                          {e.stride[0], kColumns, 128, 1});
    };
    rope(shared_runtime(), {.y = heads(out[0]), .x = heads(in[0]), .cos = cos.tensor(), .sin = sin.tensor()});
  });
}

}  // namespace sprue::test
