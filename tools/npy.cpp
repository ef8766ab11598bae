// Reads and writes .npy: magic, version, header, the elements; see numpy.lib.format.
#include "npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>

#include "npy_header.h"
#include "reference/scalar.h"
#include "sprue/error.h"

namespace sprue::tools {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

std::size_t bytes_of(NpyElement element) {
  switch (element) {
    case NpyElement::f64:
    case NpyElement::i64:
      return 8;
    case NpyElement::f32:
    case NpyElement::i32:
      return 4;
    case NpyElement::f16:
    case NpyElement::bits16:
      return 2;
    case NpyElement::u8:
    case NpyElement::i8:
      break;
  }
  return 1;
}

struct ElementFormat {
  NpyElement element = NpyElement::f32;
  bool big_endian = false;
};

ElementFormat element_format(std::string_view descr, std::string_view name) {
  if (descr.size() == 3 && std::string_view("<>=|").find(descr[0]) != std::string_view::npos) {
    const bool big_endian = descr[0] == '>';
    const std::string_view type = descr.substr(1);
    if (type == "V2") return {NpyElement::bits16, big_endian};
    if (type == "u1" || type == "b1") return {NpyElement::u8, false};
    if (type == "i1") return {NpyElement::i8, false};
    if (descr[0] != '|') {
      if (type == "f2") return {NpyElement::f16, big_endian};
      if (type == "f4") return {NpyElement::f32, big_endian};
      if (type == "f8") return {NpyElement::f64, big_endian};
      if (type == "u2") return {NpyElement::bits16, big_endian};
      if (type == "i4") return {NpyElement::i32, big_endian};
      if (type == "i8") return {NpyElement::i64, big_endian};
    }
  }
  throw ArgumentError(
      fmt::format("{}: the element type must be float16 ('<f2'), float32 ('<f4'), float64 ('<f8'), "
                  "bfloat16 bits ('<V2' or '<u2'), int32 ('<i4'), int64 ('<i8'), int8 ('|i1'), uint8 ('|u1') or "
                  "bool ('|b1'), but is '{}'",
                  name, descr));
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The size of the data, checked against what the file holds, so that nothing large is allocated for a lie.
std::size_t data_bytes(const std::vector<std::int64_t>& shape, std::size_t element_bytes, std::size_t present,
                       std::string_view name) {
  std::uint64_t bytes = element_bytes;
  bool overflow = false;
  for (const std::int64_t extent : shape) {
    overflow |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes);
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (empty) bytes = 0;
  if ((overflow && !empty) || bytes != present) {
    throw ArgumentError(fmt::format(
        "{}: shape ({}) of {}-byte elements needs {} bytes of data, but the file has {}", name,
        fmt::join(shape, ", "), element_bytes, overflow ? "more than 2^64" : std::to_string(bytes), present));
  }
  return static_cast<std::size_t>(bytes);
}

// Column-major to row-major: walks the row-major order and keeps the column-major offset beside it.
std::vector<std::byte> row_major(const std::vector<std::byte>& data, const std::vector<std::int64_t>& shape,
                                 std::size_t element_bytes) {
  std::vector<std::byte> result(data.size());
  std::array<std::size_t, kMaxNpyRank> stride{}, extent{}, index{};
  std::size_t step = element_bytes;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    stride[d] = step;
    extent[d] = static_cast<std::size_t>(shape[d]);
    step *= extent[d];
  }
  std::size_t from = 0;
  for (std::size_t to = 0; to < data.size(); to += element_bytes) {
    std::memcpy(&result[to], &data[from], element_bytes);
    for (std::size_t d = shape.size(); d > 0; --d) {
      from += stride[d - 1];
      if (++index[d - 1] < extent[d - 1]) break;
      from -= stride[d - 1] * extent[d - 1];
      index[d - 1] = 0;
    }
  }
  return result;
}

void swap_bytes(std::vector<std::byte>& data, std::size_t element_bytes) {
  for (std::size_t i = 0; i < data.size(); i += element_bytes) {
    std::reverse(data.begin() + static_cast<std::ptrdiff_t>(i),
                 data.begin() + static_cast<std::ptrdiff_t>(i + element_bytes));
  }
}

DType natural_dtype(NpyElement element) {
  switch (element) {
    case NpyElement::f16:
      return DType::f16;
    case NpyElement::bits16:
      return DType::bf16;
    case NpyElement::i32:
    case NpyElement::i64:
      return DType::i32;
    case NpyElement::u8:
      return DType::u8;
    case NpyElement::i8:
      return DType::i8;
    case NpyElement::f32:
    case NpyElement::f64:
      break;
  }
  return DType::f32;
}

bool is_integer(DType dtype) {
  return dtype == DType::i32 || dtype == DType::i64 || dtype == DType::u8 || dtype == DType::i8;
}

template <class Integer>
std::int64_t integer_at(const std::byte* place) {
  Integer value = 0;
  std::memcpy(&value, place, sizeof value);
  return value;
}

std::int64_t integer_at(const NpyArray& array, std::size_t i) {
  const std::byte* const place = &array.bytes[i * bytes_of(array.element)];
  switch (array.element) {
    case NpyElement::i64: return integer_at<std::int64_t>(place);
    case NpyElement::u8: return integer_at<std::uint8_t>(place);
    case NpyElement::i8: return integer_at<std::int8_t>(place);
    default: return integer_at<std::int32_t>(place);
  }
}

// The integers' low bytes, from which `dtype` must give the same number again.
std::vector<std::byte> integers_as(const NpyArray& array, DType dtype) {
  const std::size_t bytes = size_of(dtype);
  const std::int64_t shift = 64 - 8 * static_cast<std::int64_t>(bytes);
  std::vector<std::byte> result(array.bytes.size() / bytes_of(array.element) * bytes);
  for (std::size_t i = 0; i < result.size() / bytes; ++i) {
    const std::int64_t value = integer_at(array, i);
    const auto top = static_cast<std::uint64_t>(value) << shift;
    const std::int64_t again = dtype == DType::u8 ? static_cast<std::int64_t>(top >> shift)
                                                  : static_cast<std::int64_t>(top) >> shift;
    if (again != value) throw ArgumentError(fmt::format("{} does not fit into {}", value, name_of(dtype)));
    std::memcpy(&result[i * bytes], &value, bytes);
  }
  return result;
}

}  // namespace

std::int64_t HostTensor::elements() const {
  return static_cast<std::int64_t>(bytes.size() / size_of(dtype));
}

NpyArray parse_npy(std::string_view bytes, std::string_view name) {
  if (bytes.substr(0, kMagic.size()) != kMagic || bytes.size() < 8) {
    throw ArgumentError(fmt::format("{}: not a .npy file (it must start with \\x93NUMPY)", name));
  }
  const int major = static_cast<unsigned char>(bytes[6]);
  const int minor = static_cast<unsigned char>(bytes[7]);
  if (major < 1 || major > 3 || minor != 0) {
    throw ArgumentError(
        fmt::format("{}: .npy version must be 1.0, 2.0 or 3.0, but is {}.{}", name, major, minor));
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t header_at = 8 + length_bytes;
  const std::uint64_t header_bytes = little_endian(bytes.substr(8, length_bytes));
  if (bytes.size() < header_at || bytes.size() - header_at < header_bytes) {
    throw ArgumentError(fmt::format("{}: the file ends inside its header", name));
  }

  const NpyHeader header = parse_npy_header(bytes.substr(header_at, header_bytes), name);
  const ElementFormat format = element_format(header.descr, name);
  const std::size_t element_bytes = bytes_of(format.element);
  const std::string_view data = bytes.substr(header_at + header_bytes);
  NpyArray array{format.element, header.shape, {}};
  array.bytes.resize(data_bytes(header.shape, element_bytes, data.size(), name));
  if (!data.empty()) std::memcpy(array.bytes.data(), data.data(), data.size());
  if (format.big_endian) swap_bytes(array.bytes, element_bytes);
  if (header.fortran_order && header.shape.size() > 1) {
    array.bytes = row_major(array.bytes, header.shape, element_bytes);
  }
  return array;
}

std::string encode_npy(const NpyArray& array) {
  constexpr std::string_view kDescr[] = {"<f2", "<f4", "<f8", "<V2", "<i4", "<i8", "|u1", "|i1"};
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                   kDescr[static_cast<std::size_t>(array.element)],
                                   fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  // The data starts at a multiple of 64 bytes; a line feed ends the header.
  header.append(63 - (kMagic.size() + 4 + header.size()) % 64, ' ');
  header += '\n';

  std::string bytes(kMagic);
  bytes += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  bytes += header;
  if (!array.bytes.empty())
    bytes.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  return bytes;
}

HostTensor to_tensor(const NpyArray& array, std::optional<DType> wanted) {
  const DType natural = natural_dtype(array.element);
  HostTensor tensor{wanted.value_or(natural), array.shape, {}};
  const bool e4m3_bits = array.element == NpyElement::u8 && tensor.dtype == DType::e4m3;
  if (!e4m3_bits && is_integer(natural) != is_integer(tensor.dtype)) {
    throw ArgumentError(is_integer(natural) ? "integers, but floating point is wanted"
                                            : "floating point, but integers are wanted");
  }
  if (is_integer(tensor.dtype)) {
    tensor.bytes = integers_as(array, tensor.dtype);
    return tensor;
  }
  if (e4m3_bits || (array.element != NpyElement::f64 && tensor.dtype == natural)) {
    tensor.bytes = array.bytes;
    return tensor;
  }
  std::vector<float> values;
  if (array.element == NpyElement::f64) {
    values.resize(array.bytes.size() / 8);
    for (std::size_t i = 0; i < values.size(); ++i) {
      double value = 0;
      std::memcpy(&value, &array.bytes[8 * i], 8);
      values[i] = static_cast<float>(value);
    }
  } else {
    values = reference::widen(array.bytes, natural);
  }
  tensor.bytes = reference::narrow(values, tensor.dtype);
  return tensor;
}

NpyArray to_npy(const HostTensor& tensor) {
  constexpr NpyElement kElement[] = {NpyElement::f32, NpyElement::f16, NpyElement::bits16, NpyElement::i32,
                                     NpyElement::u8,  NpyElement::i8,  NpyElement::i64,    NpyElement::u8};  // by DType
  return {kElement[static_cast<std::size_t>(tensor.dtype)], tensor.shape, tensor.bytes};
}

HostTensor read_npy(const std::filesystem::path& file, std::optional<DType> wanted) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw ArgumentError(fmt::format("{}: cannot be opened", file.string()));
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad()) throw ArgumentError(fmt::format("{}: cannot be read", file.string()));
  const NpyArray array = parse_npy(bytes, file.string());
  try {
    return to_tensor(array, wanted);
  } catch (const ArgumentError& error) {
    throw ArgumentError(fmt::format("{}: {}", file.string(), error.what()));
  }
}

void write_npy(const std::filesystem::path& file, const HostTensor& tensor) {
  const std::string bytes = encode_npy(to_npy(tensor));
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  if (!stream) throw ArgumentError(fmt::format("{}: cannot be written", file.string()));
}

}  // namespace sprue::tools
