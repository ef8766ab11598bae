#include "driver/tensor_map.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>

#include "driver/api.h"
#include "sprue/error.h"

namespace sprue::driver {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));

template <class... Values>
void require(bool ok, fmt::format_string<const Values&...> message, const Values&... values) {
  if (!ok) throw ArgumentError("[tensor_map] " + fmt::format(message, values...));
}

void check_spec(const TensorMapSpec& spec) {
  const Extents& tensor = spec.extents;
  const auto element_bytes = static_cast<std::int64_t>(size_of(spec.dtype));
  require(tensor.rank >= 1 && tensor.rank <= kMaxTensorMapRank,
          "the tensor must have 1 to {} dimensions, but has {}", kMaxTensorMapRank, tensor.rank);
  require(is_float(spec.dtype), "dtype must be f32, f16 or bf16, but is {}", name_of(spec.dtype));
  require(spec.data && std::bit_cast<std::uintptr_t>(spec.data) % 16 == 0,
          "data must be 16-byte aligned, but is {}", spec.data);
  const int last = tensor.rank - 1;
  for (int i = 0; i <= last; ++i) {
    require(tensor.shape[i] >= 1 && tensor.shape[i] <= std::int64_t{1} << 32,
            "extent {} must be 1 to 2^32, but is {}", i, tensor.shape[i]);
    require(spec.box[i] >= 1 && spec.box[i] <= 256, "box extent {} must be 1 to 256 elements, but is {}", i,
            spec.box[i]);
    if (i == last) break;
    const std::int64_t bytes = tensor.stride[i] * element_bytes;
    require(bytes >= 0 && bytes < std::int64_t{1} << 40 && bytes % 16 == 0,
            "stride {} must be a multiple of 16 bytes below 2^40, but is {} bytes", i, bytes);
  }
  require(tensor.stride[last] == 1, "the last stride must be 1, but is {}", tensor.stride[last]);
  const std::int64_t row_bytes = spec.box[last] * element_bytes;
  require(row_bytes % 16 == 0, "a row of the box must be a multiple of 16 bytes, but is {} bytes", row_bytes);

  const int swizzle = spec.swizzle_bytes, l2 = spec.l2_bytes;
  require(swizzle == 0 || swizzle == 32 || swizzle == 64 || swizzle == 128,
          "swizzle_bytes must be 0, 32, 64 or 128, but is {}", swizzle);
  require(swizzle == 0 || row_bytes <= swizzle,
          "a row of the box must be at most swizzle_bytes = {}, but is {} bytes", swizzle, row_bytes);
  require(l2 == 0 || l2 == 64 || l2 == 128 || l2 == 256, "l2_bytes must be 0, 64, 128 or 256, but is {}", l2);
}

CUtensorMapDataType type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case DType::f16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case DType::bf16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    default:
      throw ArgumentError("[tensor_map] dtype must be f32, f16 or bf16");
  }
}

CUtensorMapSwizzle swizzle_of(int bytes) {
  switch (bytes) {
    case 32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case 64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case 128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    default:
      return CU_TENSOR_MAP_SWIZZLE_NONE;
  }
}

CUtensorMapL2promotion promotion_of(int bytes) {
  switch (bytes) {
    case 64:
      return CU_TENSOR_MAP_L2_PROMOTION_L2_64B;
    case 128:
      return CU_TENSOR_MAP_L2_PROMOTION_L2_128B;
    case 256:
      return CU_TENSOR_MAP_L2_PROMOTION_L2_256B;
    default:
      return CU_TENSOR_MAP_L2_PROMOTION_NONE;
  }
}

}  // namespace

TensorMap encode_tensor_map(const TensorMapSpec& spec) {
  check_spec(spec);
  // The driver wants the innermost dimension first and no stride for it.
  const int rank = spec.extents.rank;
  cuuint64_t shape[kMaxTensorMapRank], stride_bytes[kMaxTensorMapRank];
  cuuint32_t box[kMaxTensorMapRank], steps[kMaxTensorMapRank] = {1, 1, 1, 1, 1};
  for (int i = 0; i < rank; ++i) {
    const int from = rank - 1 - i;
    shape[i] = static_cast<cuuint64_t>(spec.extents.shape[from]);
    box[i] = static_cast<cuuint32_t>(spec.box[from]);
    if (i > 0) stride_bytes[i - 1] = static_cast<cuuint64_t>(spec.extents.stride[from]) * size_of(spec.dtype);
  }
  CUtensorMap map;
  SPRUE_CUDA(cuTensorMapEncodeTiled, &map, type_of(spec.dtype), static_cast<cuuint32_t>(rank),
             const_cast<void*>(spec.data), shape, stride_bytes, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzle_of(spec.swizzle_bytes), promotion_of(spec.l2_bytes), CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return std::bit_cast<TensorMap>(map);
}

}  // namespace sprue::driver
