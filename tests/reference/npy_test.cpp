// .npy files: what NumPy writes is read, what is damaged is refused by name.
#include "npy.h"

#include <cstring>
#include <filesystem>

#include "reference/scalar.h"
#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::tools {
namespace {

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string file(const std::string& header, const std::string& data, int major = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(major);
  bytes += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) bytes += static_cast<char>(header.size() >> 8 * i & 0xff);
  return bytes + header + data;
}

std::vector<float> values_of(const std::string& bytes) {
  const HostTensor tensor = to_tensor(parse_npy(bytes, "x.npy"), {});
  return reference::widen(tensor.bytes, tensor.dtype);
}

const std::string k2x3 = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

}  // namespace

TEST_CASE("npy: versions 1, 2 and 3") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  for (const int version : {1, 2, 3}) {
    const NpyArray array = parse_npy(file(k2x3 + "   \n", raw(values), version), "x.npy");
    CHECK(array.shape == std::vector<std::int64_t>{2, 3});
    CHECK(array.element == NpyElement::f32);
    CHECK(values_of(file(k2x3, raw(values), version)) == values);
  }
}

TEST_CASE("npy: Fortran order becomes row-major") {
  const std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
  CHECK(values_of(file(header, raw<float>({1, 4, 2, 5, 3, 6}))) == std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::string three = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1, 2)}";
  CHECK(values_of(file(three, raw<float>({1, 3, 2, 4}))) == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("npy: element types") {
  const auto with = [](const std::string& descr, const std::string& data) {
    return file("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (1,), }", data);
  };
  CHECK(values_of(with("<f8", raw<double>({1.5}))) == std::vector<float>{1.5f});
  CHECK(values_of(with("<f2", raw<std::uint16_t>({0x3e00}))) == std::vector<float>{1.5f});
  CHECK(values_of(with("<V2", raw<std::uint16_t>({0x3fc0}))) == std::vector<float>{1.5f});
  CHECK(values_of(with("|V2", raw<std::uint16_t>({0x3fc0}))) == std::vector<float>{1.5f});
  CHECK(values_of(with("<u2", raw<std::uint16_t>({0x3fc0}))) == std::vector<float>{1.5f});
  CHECK(values_of(with(">f4", std::string("\x3f\xc0\0\0", 4))) == std::vector<float>{1.5f});
  CHECK(values_of(with(">f2", std::string("\x3e\0", 2))) == std::vector<float>{1.5f});
  for (const char* descr : {"<i2", "<c8", "|O", "<V4", "f4", "|f4", "", "<f16"}) {
    CHECK_THROWS_WITH(parse_npy(with(descr, "12345678"), "x.npy"),
                      Contains("x.npy: the element type must be"));
  }
}

TEST_CASE("npy: shapes of rank 0, empty arrays, keys in any order") {
  CHECK(values_of(file("{\"shape\": (), 'fortran_order': False, 'descr': '<f4'}", raw<float>({7}))) ==
        std::vector<float>{7});
  const NpyArray empty =
      parse_npy(file("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 9)}", ""), "x.npy");
  CHECK(empty.shape == std::vector<std::int64_t>{0, 9});
  CHECK(empty.bytes.empty());
}

TEST_CASE("npy: damage is refused") {
  const std::string data(24, 'x');
  const auto refusal = [](const std::string& bytes) {
    try {
      parse_npy(bytes, "q.npy");
    } catch (const ArgumentError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const std::string good = file(k2x3, data);
  CHECK(refusal(good) == "accepted");
  CHECK_THAT(refusal(""), StartsWith("q.npy: not a .npy file"));
  CHECK_THAT(refusal("PK\x03\x04 a zip file"), Contains("not a .npy file"));
  CHECK_THAT(refusal(good.substr(0, 7)), Contains("not a .npy file"));
  CHECK_THAT(refusal(good.substr(0, 9)), Contains("ends inside its header"));
  CHECK_THAT(refusal(good.substr(0, 40)), Contains("ends inside its header"));
  CHECK_THAT(refusal(file(k2x3, data, 4)), Contains("version must be 1.0, 2.0 or 3.0, but is 4.0"));
  CHECK_THAT(refusal(good.substr(0, good.size() - 1)),
             Contains("(2, 3) of 4-byte elements needs 24 bytes of data, but "
                      "the file has 23"));
  CHECK_THAT(refusal(good + "x"), Contains("has 25"));
  const auto header_refusal = [&](const std::string& header) { return refusal(file(header, data)); };
  CHECK_THAT(header_refusal("{}"), Contains("must all be there"));
  CHECK_THAT(header_refusal("{'descr': '<f4', 'descr': '<f4'}"), Contains("repeated key 'descr'"));
  CHECK_THAT(header_refusal("{'color': 'red'}"), Contains("unknown or repeated key 'color'"));
  CHECK_THAT(header_refusal(k2x3 + " 1"), Contains("after the closing brace"));
  CHECK_THAT(header_refusal("{'descr': [('a', '<f4')]}"), Contains("expected a quoted string"));
  CHECK_THAT(header_refusal("{'descr': '<f4"), Contains("does not end"));
  CHECK_THAT(header_refusal("{'fortran_order': 1}"), Contains("expected True or False"));
  CHECK_THAT(header_refusal("{'shape': (6)}"), Contains("needs a comma"));
  CHECK_THAT(header_refusal("{'shape': (-6,)}"), Contains("expected an extent"));
  CHECK_THAT(header_refusal("{'shape': (99999999999999999999,)}"), Contains("too large"));
  CHECK_THAT(header_refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
             Contains("more than 2^64"));
  std::string deep = "{'shape': (";
  for (int i = 0; i < 33; ++i) deep += "1, ";
  CHECK_THAT(header_refusal(deep + ")}"), Contains("more than 32 dimensions"));
}

TEST_CASE("npy: every element type survives a round trip") {
  for (const NpyElement element : {NpyElement::f16, NpyElement::f32, NpyElement::f64, NpyElement::bits16,
                                   NpyElement::i32, NpyElement::i64, NpyElement::u8, NpyElement::i8}) {
    constexpr std::size_t kBytes[] = {2, 4, 8, 2, 4, 8, 1, 1};
    const std::size_t bytes = kBytes[static_cast<std::size_t>(element)];
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{}, {3}, {2, 0}, {2, 3, 4}}) {
      std::size_t count = 1;
      for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
      NpyArray array{element, shape, std::vector<std::byte>(count * bytes)};
      for (std::size_t i = 0; i < array.bytes.size(); ++i) array.bytes[i] = static_cast<std::byte>(7 * i);
      const std::string encoded = encode_npy(array);
      CHECK((encoded.size() - array.bytes.size()) % 64 == 0);
      const NpyArray again = parse_npy(encoded, "x.npy");
      CHECK(again.element == element);
      CHECK(again.shape == shape);
      CHECK(again.bytes == array.bytes);
    }
  }
}

TEST_CASE("npy: integers stay integers") {
  const auto with = [](const std::string& descr, const std::string& data) {
    return parse_npy(file("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,), }", data),
                     "x.npy");
  };
  const NpyArray wide = with("<i8", raw<std::int64_t>({-3, 70000}));
  for (const NpyArray& array : {wide, with("<i4", raw<std::int32_t>({-3, 70000}))}) {
    const HostTensor tensor = to_tensor(array, DType::i32);
    CHECK(tensor.dtype == DType::i32);
    CHECK(tensor.bytes.size() == 8);
    CHECK(reference::widen(tensor.bytes, DType::i32) == std::vector<float>{-3, 70000});
  }
  CHECK(to_tensor(wide, std::nullopt).dtype == DType::i32);
  CHECK_THROWS_WITH(to_tensor(wide, DType::bf16), Contains("floating point is wanted"));
  CHECK_THROWS_WITH(to_tensor(with("<f4", raw<float>({1, 2})), DType::i32), Contains("integers are wanted"));
  CHECK_THROWS_WITH(to_tensor(with("<i8", raw<std::int64_t>({1, std::int64_t{1} << 31})), std::nullopt),
                    Contains("2147483648 does not fit into i32"));
  CHECK(reference::widen(to_tensor(wide, DType::i64).bytes, DType::i64) == std::vector<float>{-3, 70000});
  CHECK_THROWS_WITH(to_tensor(wide, DType::u8), Contains("-3 does not fit into u8"));

  const NpyArray unsigned_bytes = with("|u1", raw<std::uint8_t>({255, 1})), flags = with("|b1", raw<std::uint8_t>({0, 1}));
  CHECK(to_tensor(unsigned_bytes, std::nullopt).dtype == DType::u8);
  CHECK(reference::widen(to_tensor(unsigned_bytes, DType::i32).bytes, DType::i32) == std::vector<float>{255, 1});
  CHECK(reference::widen(to_tensor(flags, DType::u8).bytes, DType::u8) == std::vector<float>{0, 1});
  CHECK_THROWS_WITH(to_tensor(unsigned_bytes, DType::i8), Contains("255 does not fit into i8"));
  CHECK(to_tensor(unsigned_bytes, DType::e4m3).bytes == unsigned_bytes.bytes);
  const NpyArray signed_bytes = with("|i1", raw<std::int8_t>({-128, 5}));
  CHECK(reference::widen(to_tensor(signed_bytes, std::nullopt).bytes, DType::i8) == std::vector<float>{-128, 5});
}

TEST_CASE("npy: a tensor of every dtype survives being written") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i32, DType::u8, DType::i8, DType::i64, DType::e4m3}) {
    const HostTensor tensor{dtype, {3}, reference::narrow(std::vector<float>{1, 2, 100}, dtype)};
    const HostTensor again = to_tensor(parse_npy(encode_npy(to_npy(tensor)), "x.npy"), dtype);
    CHECK(again.dtype == dtype);
    CHECK(reference::widen(again.bytes, dtype) == reference::widen(tensor.bytes, dtype));
  }
}

TEST_CASE("npy: conversion to a wanted dtype") {
  const NpyArray array = parse_npy(file(k2x3, raw<float>({1, 2, 3, 4, 5, 1.00390625f})), "x.npy");
  const HostTensor tensor = to_tensor(array, DType::bf16);
  CHECK(tensor.dtype == DType::bf16);
  CHECK(tensor.elements() == 6);
  CHECK(reference::widen(tensor.bytes, DType::bf16) == std::vector<float>{1, 2, 3, 4, 5, 1});
  CHECK(to_npy(tensor).element == NpyElement::bits16);
}

TEST_CASE("npy: files") {
  const auto path = std::filesystem::temp_directory_path() / "sprue_npy_test.npy";
  const HostTensor tensor{DType::f16, {4}, reference::narrow(std::vector<float>{1, 2, 3, 4}, DType::f16)};
  write_npy(path, tensor);
  const HostTensor again = read_npy(path, {});
  CHECK(again.dtype == DType::f16);
  CHECK(again.shape == tensor.shape);
  CHECK(again.bytes == tensor.bytes);
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(read_npy(path, {}), Contains("cannot be opened"));
  CHECK_THROWS_WITH(write_npy("/no/such/directory/x.npy", tensor), Contains("cannot be written"));
}

}  // namespace sprue::tools
