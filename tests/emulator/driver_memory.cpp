// Memory and tensor maps.
#include <cstring>

#include "emulator/driver.h"
#include "emulator/memory.h"
#include "emulator/tensor_map.h"

using namespace emulator;

namespace {

void* pointer(CUdeviceptr address) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}
bool is_live(CUdeviceptr address, std::size_t bytes) {
  return bytes == 0 || find_allocation(address, bytes).end != 0;
}

}  // namespace

CUresult cuMemAlloc(CUdeviceptr* address, std::size_t bytes) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  void* const data = allocate(bytes);
  *address = reinterpret_cast<std::uintptr_t>(data);
  return data == nullptr ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}
CUresult cuMemFree(CUdeviceptr address) {
  return release(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemsetD8(CUdeviceptr address, unsigned char value, std::size_t bytes) {
  if (!is_live(address, bytes)) return CUDA_ERROR_INVALID_VALUE;
  std::memset(pointer(address), value, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, std::size_t bytes) {
  if (!is_live(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(pointer(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, std::size_t bytes) {
  if (!is_live(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(to, pointer(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  if (!is_live(to, bytes) || !is_live(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return submit(stream, [=] {
    std::memmove(pointer(to), pointer(from), bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps*) {
  *pool = reinterpret_cast<CUmemoryPool>(std::uintptr_t{256});
  return CUDA_SUCCESS;
}
CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void*) {
  return CUDA_SUCCESS;
}
CUresult cuMemAllocFromPoolAsync(CUdeviceptr* address, std::size_t bytes, CUmemoryPool, CUstream) {
  return cuMemAlloc(address, bytes);
}
/// What a graph uses lives on: the graph may be launched again.
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  return is_capturing(stream) ? CUDA_SUCCESS : cuMemFree(address);
}

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* data,
                                const cuuint64_t* extent, const cuuint64_t* stride_bytes,
                                const cuuint32_t* box, const cuuint32_t* steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  if (rank < 1 || rank > 5 || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
    return CUDA_ERROR_NOT_SUPPORTED;
  TensorMap encoded = {};
  encoded.magic = TensorMap::kMagic;
  encoded.data = reinterpret_cast<std::uintptr_t>(data);
  encoded.rank = static_cast<std::uint8_t>(rank);
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      encoded.type = Type::u8;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
      encoded.type = Type::u16;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
      encoded.type = Type::f16;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      encoded.type = Type::bf16;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
      encoded.type = Type::u32;
      break;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      encoded.type = Type::f32;
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  encoded.element_bytes = static_cast<std::uint8_t>(bytes_of(encoded.type));
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      break;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      encoded.swizzle_bytes = 32;
      break;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      encoded.swizzle_bytes = 64;
      break;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      encoded.swizzle_bytes = 128;
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  if (encoded.data % 16 != 0 || box[0] * encoded.element_bytes % 16 != 0) return CUDA_ERROR_INVALID_VALUE;
  for (cuuint32_t i = 0; i < rank; ++i) {
    if (steps[i] != 1) return CUDA_ERROR_NOT_SUPPORTED;
    if (extent[i] == 0 || box[i] == 0 || box[i] > 256) return CUDA_ERROR_INVALID_VALUE;
    encoded.extent[i] = extent[i];
    encoded.box[i] = static_cast<std::uint16_t>(box[i]);
    if (i == 0) continue;
    if (stride_bytes[i - 1] % 16 != 0) return CUDA_ERROR_INVALID_VALUE;
    encoded.stride_bytes[i - 1] = stride_bytes[i - 1];
  }
  std::memset(map, 0, sizeof *map);
  std::memcpy(map, &encoded, sizeof encoded);
  return CUDA_SUCCESS;
}
