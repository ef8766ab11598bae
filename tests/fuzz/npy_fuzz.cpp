// Any bytes are either refused as an ArgumentError or read as an array that survives being written.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "npy.h"
#include "sprue/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sprue::tools;
  NpyArray array;
  try {
    array = parse_npy({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const sprue::ArgumentError&) {
    return 0;
  }
  const NpyArray again = parse_npy(encode_npy(array), "copy");
  if (again.element != array.element || again.shape != array.shape || again.bytes != array.bytes)
    std::abort();
  try {
    to_tensor(array, std::nullopt);
    to_tensor(array, sprue::DType::bf16);
  } catch (const sprue::ArgumentError&) {  // integers, which bf16 does not take, or which are large
  }
  return 0;
}
