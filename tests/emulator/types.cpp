#include "emulator/types.h"

#include <iterator>

namespace emulator {
namespace {

constexpr struct {
  std::string_view name;
  int bytes;
} kTypes[] = {{"", 0},       {"pred", 0}, {"b8", 1},  {"u8", 1},   {"s8", 1},     {"b16", 2},
              {"u16", 2},    {"s16", 2},  {"f16", 2}, {"bf16", 2}, {"e4m3x2", 2}, {"e5m2x2", 2},
              {"b32", 4},    {"u32", 4},  {"s32", 4}, {"f32", 4},  {"tf32", 4},   {"f16x2", 4},
              {"bf16x2", 4}, {"b64", 8},  {"u64", 8}, {"s64", 8},  {"f64", 8},    {"b128", 16}};
static_assert(std::size(kTypes) == static_cast<int>(Type::b128) + 1);

}  // namespace

Type type_named(std::string_view name) {
  for (std::size_t i = 1; i < std::size(kTypes); ++i) {
    if (kTypes[i].name == name) return static_cast<Type>(i);
  }
  return Type::none;
}

int bytes_of(Type type) {
  return kTypes[static_cast<int>(type)].bytes;
}

}  // namespace emulator
