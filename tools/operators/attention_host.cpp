// AttentionHost: packed, padded and paged tensors as the reference on the CPU takes them.
#include <algorithm>
#include <numeric>

#include "operators/attention_shape.h"

namespace sprue::tools {

AttentionHost::AttentionHost(const AttentionShape& shape, const Tensors& tensors)
    : shape_(shape), tensors_(tensors) {
  q_ = queries("q", shape.heads * shape.head_dim);
  k_ = keys("k", shape.kv_heads * shape.head_dim);
  v_ = keys("v", shape.kv_heads * shape.head_dim_v);
  slopes_ = tensors.values("alibi");
  sinks_ = tensors.values("sinks");
  bias_ = tensors.values("bias");
}

std::vector<float> AttentionHost::queries(const std::string& name, std::int64_t width) const {
  const AttentionShape& s = shape_;
  std::vector<float> result(static_cast<std::size_t>(s.batch * s.seqlen_q * width));
  const auto values = tensors_.values(name), starts = tensors_.values("cu_seqlens_q");
  for (std::int64_t b = 0; b < s.batch; ++b) {
    const auto first = s.q == Storage::packed ? static_cast<std::int64_t>(starts[static_cast<std::size_t>(b)])
                                              : b * s.seqlen_q;
    std::copy_n(values.begin() + first * width, s.length_q(b) * width,
                result.begin() + b * s.seqlen_q * width);
  }
  return result;
}

std::vector<float> AttentionHost::keys(const std::string& name, std::int64_t width) const {
  const AttentionShape& s = shape_;
  std::vector<float> result(static_cast<std::size_t>(s.batch * s.seqlen_k * width));
  const auto values = tensors_.values(name), starts = tensors_.values("cu_seqlens_k"),
             table = tensors_.values("block_table");
  const std::int64_t columns = static_cast<std::int64_t>(table.size()) / s.batch;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t j = 0; j < s.length_k(b); ++j) {
      std::int64_t row = b * s.seqlen_k + j;
      if (s.k == Storage::packed) row = static_cast<std::int64_t>(starts[static_cast<std::size_t>(b)]) + j;
      if (s.k == Storage::paged) {
        const float page = table[static_cast<std::size_t>(b * columns + j / s.page_size)];
        row = static_cast<std::int64_t>(page) * s.page_size + j % s.page_size;
      }
      std::copy_n(values.begin() + row * width, width, result.begin() + (b * s.seqlen_k + j) * width);
    }
  }
  return result;
}

std::vector<float> AttentionHost::lse() const {
  const AttentionShape& s = shape_;
  std::vector<float> result(static_cast<std::size_t>(s.lse_elements()));
  const auto values = tensors_.values("lse"), starts = tensors_.values("cu_seqlens_q");
  const std::int64_t total = std::accumulate(s.lengths_q.begin(), s.lengths_q.end(), std::int64_t{0});
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t first =
          s.q == Storage::packed ? h * total + static_cast<std::int64_t>(starts[static_cast<std::size_t>(b)])
                                 : (b * s.heads + h) * s.seqlen_q;
      std::copy_n(values.begin() + first, s.length_q(b), result.begin() + (b * s.heads + h) * s.seqlen_q);
    }
  }
  return result;
}

reference::AttentionInputs AttentionHost::inputs() const {
  reference::AttentionInputs in{.q = q_, .k = k_, .v = v_, .alibi_slopes = slopes_, .sinks = sinks_};
  const auto& bias = shape_.bias;
  if (!bias.empty()) in.bias = {bias_, bias[0], bias[1], bias[2], bias[3]};
  return in;
}

}  // namespace sprue::tools
