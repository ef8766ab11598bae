// Tensors whose elements lie further apart, or are more, than 32 bits count. Skipped where the memory is not
// there.
#include <algorithm>

#include "driver/device.h"
#include "ops/fixture.h"
#include "ops/large_buffer.h"
#include "reference/attention.h"
#include "reference/compare.h"
#include "reference/random.h"
#include "reference/rms_norm.h"
#include "support/catch.h"
#include "support/device_tensor.h"
#include "support/gpu.h"

namespace sprue::test {
TEST_CASE("attention: strides beyond 2^31 elements", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const reference::AttentionShape s{
      .batch = 2, .seqlen_q = 70, .seqlen_k = 70, .heads = 3, .kv_heads = 3, .causal = true};
  constexpr std::int64_t kRoom = 1 << 20;  // from one tensor to the next; their rows interleave
  const std::int64_t compact[] = {s.seqlen_q * s.heads * 64, s.heads * 64, 64};
  const std::int64_t extents[] = {s.batch, s.seqlen_q, s.heads};
  const auto buffer = buffer_of(kFar + 8 * kRoom);
  if (!buffer) SKIP_TEST("less than 5 GB of free memory");

  for (int far = 0; far < 3; ++far) {  // which of batch, sequence and head has its last index beyond 2^31
    INFO("dimension " << far);
    std::int64_t stride[] = {compact[0], compact[1], compact[2]};
    stride[far] = (kFar / (extents[far] - 1) + 7) / 8 * 8;
    std::vector<float> values[3];
    const auto start = [&](int tensor) { return tensor * kRoom; };
    const auto for_each_row = [&](const auto& visit) {
      std::int64_t row = 0;
      for (std::int64_t b = 0; b < s.batch; ++b) {
        for (std::int64_t i = 0; i < s.seqlen_q; ++i) {
          for (std::int64_t h = 0; h < s.heads; ++h)
            visit(64 * row++, b * stride[0] + i * stride[1] + h * stride[2]);
        }
      }
    };
    for (int tensor = 0; tensor < 3; ++tensor) {
      values[tensor] =
          reference::random_normal(s.q_elements(), static_cast<std::uint64_t>(tensor) + 1, kType);
      for_each_row([&](std::int64_t from, std::int64_t to) {
        put(*buffer, start(tensor) + to,
            std::span(values[tensor]).subspan(static_cast<std::size_t>(from), 64));
      });
    }
    const std::vector<float> nan(64, NAN);
    for_each_row([&](std::int64_t, std::int64_t to) { put(*buffer, start(3) + to, nan); });

    const auto view = [&](int tensor) {
      return Tensor(at(*buffer, start(tensor)), kType, {s.batch, s.seqlen_q, s.heads, 64},
                    {stride[0], stride[1], stride[2], 1});
    };
    attention(shared_runtime(), {.out = view(3), .q = view(0), .k = view(1), .v = view(2), .causal = true});
    driver::synchronize_device();

    std::vector<float> out(static_cast<std::size_t>(s.out_elements()));
    for_each_row([&](std::int64_t to, std::int64_t from) {
      const auto row = get(*buffer, start(3) + from, 64);
      std::copy(row.begin(), row.end(), out.begin() + to);
    });
    const reference::AttentionInputs in{values[0], values[1], values[2]};
    const auto comparison =
        reference::compare(out, reference::attention(s, in).out, reference::naive_attention(s, in, kType));
    INFO(comparison.print());
    CHECK(comparison.passed());
  }
}

TEST_CASE("attention: pages and biases with strides beyond 2^31 elements", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const reference::AttentionShape s{
      .seqlen_q = 70, .seqlen_k = 150, .heads = 2, .kv_heads = 1, .causal = true, .window_left = 100};
  constexpr std::int64_t kRoom = 1 << 20, kPageSize = 64, kPageStride = kFar / 2 / 8 * 8 + 8;
  const auto buffer = buffer_of(2 * kPageStride + 3 * kRoom);
  if (!buffer) SKIP_TEST("less than 5 GB of free memory");
  const std::vector<float> pages = {2, 0, 1};  // the last page of memory comes first

  const auto q = reference::random_normal(s.q_elements(), 1, kType),
             k = reference::random_normal(s.k_elements(), 2, kType),
             v = reference::random_normal(s.v_elements(), 3, kType),
             bias = reference::random_normal(s.heads * s.seqlen_q * 192, 4, kType);
  for (std::int64_t n = 0; n < 3; ++n) {
    const std::int64_t first = n * kPageSize,
                       page = static_cast<std::int64_t>(pages[static_cast<std::size_t>(n)]);
    const auto rows = static_cast<std::size_t>(std::min(kPageSize, s.seqlen_k - first) * 64);
    put(*buffer, page * kPageStride, std::span(k).subspan(static_cast<std::size_t>(first * 64), rows));
    put(*buffer, page * kPageStride + kRoom,
        std::span(v).subspan(static_cast<std::size_t>(first * 64), rows));
  }
  for (std::int64_t h = 0; h < s.heads; ++h) {
    const auto count = static_cast<std::size_t>(s.seqlen_q * 192);
    put(*buffer, 2 * kRoom + h * kFar, std::span(bias).subspan(static_cast<std::size_t>(h) * count, count));
  }

  DeviceTensor queries(kType, {1, s.seqlen_q, s.heads, 64}), out(kType, {1, s.seqlen_q, s.heads, 64}),
      table(DType::i32, {1, 3}), used(DType::i32, {1});
  queries.write(q);
  table.write(pages);
  used.write(std::vector<float>{150});
  const reference::AttentionInputs in{
      .q = q, .k = k, .v = v, .bias = {.values = bias, .heads = s.heads, .queries = s.seqlen_q, .keys = 192}};
  const auto truth = reference::attention(s, in).out;
  const auto naive = reference::naive_attention(s, in, kType);
  for (const bool portable : {false, true}) {
    const auto paged = [&](std::int64_t start) {
      return ConstTensor(at(*buffer, start), kType, {3, kPageSize, 1, 64}, {kPageStride, 64, 64, 1});
    };
    out.poison();
    attention(shared_runtime(),
              {.out = out.tensor(),
               .q = queries.tensor(),
               .k = paged(0),
               .v = paged(kRoom),
               .causal = true,
               .window_left = 100,
               .bias = {at(*buffer, 2 * kRoom), kType, {1, s.heads, s.seqlen_q, 192}, {0, kFar, 192, 1}},
               .seqused_k = used.tensor(),
               .block_table = table.tensor(),
               .portable = portable});
    driver::synchronize_device();
    const auto comparison = reference::compare(out.read(), truth, naive);
    INFO(comparison.print());
    CHECK(comparison.passed());
  }
}

TEST_CASE("attention: more than 2^31 elements", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const std::int64_t batches = 66'000, seqlen = 64, heads = 8;
  const std::int64_t batch_elements = seqlen * heads * 64, elements = batches * batch_elements;
  REQUIRE(elements > kFar);
  std::optional<driver::DeviceBuffer> buffers[4];
  for (auto& buffer : buffers) {
    buffer = buffer_of(elements);
    if (!buffer) SKIP_TEST("less than 18 GB of free memory");
  }
  for (int tensor = 0; tensor < 3; ++tensor)
    fill_random(*buffers[tensor], static_cast<std::uint64_t>(tensor) + 1);
  buffers[3]->fill(0xff);
  driver::synchronize_device();

  const auto view = [&](int tensor) {
    return Tensor(buffers[tensor]->data(), kType, {batches, seqlen, heads, 64});
  };
  attention(shared_runtime(), {.out = view(3), .q = view(0), .k = view(1), .v = view(2)});
  driver::synchronize_device();

  const reference::AttentionShape one{
      .seqlen_q = seqlen, .seqlen_k = seqlen, .heads = heads, .kv_heads = heads};
  for (const std::int64_t batch :
       {std::int64_t{0}, std::int64_t{32'767}, std::int64_t{65'535}, std::int64_t{65'536}, batches - 1}) {
    std::vector<float> values[4];
    for (int tensor = 0; tensor < 4; ++tensor)
      values[tensor] = get(*buffers[tensor], batch * batch_elements, batch_elements);
    const reference::AttentionInputs in{values[0], values[1], values[2]};
    const auto comparison = reference::compare(values[3], reference::attention(one, in).out,
                                               reference::naive_attention(one, in, kType));
    INFO("batch " << batch << ": " << comparison.print());
    CHECK(comparison.passed());
  }
}

TEST_CASE("rms_norm: more than 2^31 elements, and strides beyond them", "[gpu]") {
  SKIP_WITHOUT_GPU();
  const std::int64_t hidden = 8192, rows = kFar / hidden + 5;
  const auto x = buffer_of(rows * hidden), y = buffer_of(rows * hidden);
  if (!x || !y) SKIP_TEST("less than 9 GB of free memory");
  fill_random(*x, 1);

  const auto check_row = [&](std::int64_t x_at, std::int64_t y_at) {
    const auto in_values = get(*x, x_at, hidden), out_values = get(*y, y_at, hidden);
    const reference::RmsNormInputs in{.rows = 1, .hidden = hidden, .x = in_values, .weight = {}};
    const auto comparison =
        reference::compare(out_values, reference::rms_norm(in), reference::naive_rms_norm(in, kType));
    INFO("elements " << x_at << ", " << y_at << ": " << comparison.print());
    CHECK(comparison.passed());
  };
  const auto poison = [&] {
    put(*y, 0, std::vector<float>(static_cast<std::size_t>(hidden), NAN));
    put(*y, (rows - 1) * hidden, std::vector<float>(static_cast<std::size_t>(hidden), NAN));
  };

  poison();
  rms_norm(shared_runtime(),
           {.y = {y->data(), kType, {rows, hidden}}, .x = {x->data(), kType, {rows, hidden}}});
  for (const std::int64_t row : {std::int64_t{0}, rows / 2, rows - 6, rows - 1})
    check_row(row * hidden, row * hidden);

  poison();  // two rows, the second at the far end of the buffer, in y as in x
  const std::int64_t stride = (rows - 1) * hidden;
  rms_norm(shared_runtime(), {.y = {y->data(), kType, {2, hidden}, {stride, 1}},
                              .x = {x->data(), kType, {2, hidden}, {stride, 1}}});
  for (const std::int64_t start : {std::int64_t{0}, stride}) check_row(start, start);
}

}  // namespace sprue::test
