// Device memory with more elements than 32 bits count; all of them are bf16.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "driver/memory.h"
#include "sprue/tensor.h"

namespace sprue::test {

inline constexpr DType kType = DType::bf16;
inline constexpr std::int64_t kFar = (std::int64_t{1} << 31) + 4096;  // elements

/// Nothing when there is not so much memory.
std::optional<driver::DeviceBuffer> buffer_of(std::int64_t elements);

char* at(const driver::DeviceBuffer& buffer, std::int64_t element);
void put(const driver::DeviceBuffer& buffer, std::int64_t element, std::span<const float> values);
std::vector<float> get(const driver::DeviceBuffer& buffer, std::int64_t element, std::int64_t count);

/// Random values that repeat every few million.
void fill_random(const driver::DeviceBuffer& buffer, std::uint64_t seed);

}  // namespace sprue::test
