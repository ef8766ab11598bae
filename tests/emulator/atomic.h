// Updates of memory that are atomic among the host's threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulator/types.h"

namespace emulator {

/// *at = f(*at); returns what was there.
template <class Bits, class F>
Bits update(std::byte* at, const F& f) {
  auto* const place = reinterpret_cast<Bits*>(at);
  Bits old = __atomic_load_n(place, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(place, &old, f(old), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
  return old;
}

/// *at += *value, an element of that type: f32, f16, bf16, u32, s32 or u64.
void add_element(std::byte* at, const std::byte* value, Type type);

}  // namespace emulator
