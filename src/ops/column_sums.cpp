#include "ops/column_sums.h"

#include "ops/check.h"

namespace sprue::ops {
namespace {

constexpr char kKernel[] = "column_sums";

/// The kernel's arguments, as the template declares them.
struct ColumnSumsParams {
  void* sums[2];
  const float* rows[2];
  int blocks, columns, slices;
};

KernelKey key(DType dtype, int device) {
  return {kernel_id(kKernel), device, {static_cast<std::uint64_t>(dtype), 0}};
}
Request request(DType dtype) {
  return {kKernel, {{"SCALAR", std::string(name_of(dtype))}}};
}

}  // namespace

ColumnSums::ColumnSums(RuntimeImpl& impl, DType dtype, int device, Stream stream)
    : impl_(impl),
      kernel_(impl.kernel(key(dtype, device), stream, [&] { return request(dtype); })),
      stream_(stream) {}

void ColumnSums::prepare(RuntimeImpl& impl, DType dtype, int device) {
  impl.prepare(key(dtype, device), request(dtype));
}

void ColumnSums::allocate(const Tensor& first, const Tensor& second, std::int64_t blocks,
                          std::int64_t columns) {
  blocks_ = blocks;
  columns_ = columns;
  const Tensor* const targets[] = {&first, &second};
  const std::int64_t wanted = (first.data != nullptr) + (second.data != nullptr);
  workspace_.emplace(impl_.options().allocator,
                     static_cast<std::size_t>(wanted * blocks * columns) * sizeof(float), stream_);
  float* next = static_cast<float*>(workspace_->data());
  for (int t = 0; t < 2; ++t) {
    targets_[t] = targets[t]->data;
    rows_[t] = targets_[t] != nullptr ? next : nullptr;
    if (targets_[t] != nullptr) next += blocks * columns;
  }
}

void ColumnSums::launch(const char* op) {
  // Slices of eight rows, which a thread loads at once; as many as there are warps, if it takes those.
  const int most = kernel_.launch.threads / 32;
  int slices = 1;
  while (slices < most && slices * 8 < blocks_) slices *= 2;
  ColumnSumsParams params{{}, {}, static_cast<int>(blocks_), static_cast<int>(columns_), slices};
  int outputs = 0;
  for (int t = 0; t < 2; ++t) {
    if (targets_[t] == nullptr) continue;
    params.sums[outputs] = targets_[t];
    params.rows[outputs++] = rows_[t];
  }
  impl_.launch(kernel_, grid_size(op, columns_, kernel_.launch.rows_per_block / slices, outputs), stream_,
               &params);
}

}  // namespace sprue::ops
