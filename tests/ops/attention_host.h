// Calls of attention for checks on the host, and what it says to them.
#pragma once

#include <string>

#include "driver/driver.h"
#include "ops/host.h"
#include "sprue/error.h"

namespace sprue {

inline Tensor tensor(int megabyte, std::initializer_list<std::int64_t> shape, DType dtype = DType::f16) {
  return {address(std::uintptr_t(megabyte) << 20), dtype, shape};
}

/// batch 2, seqlen_q 16, seqlen_k 24, heads 6, kv_heads 3, head_dim 128, head_dim_v 64.
inline Attention good() {
  return {.out = tensor(1, {2, 16, 6, 64}),
          .q = tensor(2, {2, 16, 6, 128}),
          .k = tensor(3, {2, 24, 3, 128}),
          .v = tensor(4, {2, 24, 3, 64}),
          .lse = tensor(5, {2, 6, 16}, DType::f32)};
}

/// The same with three packed sequences of together 32 queries and 48 keys.
inline Attention packed() {
  return {.out = tensor(1, {32, 6, 64}),
          .q = tensor(2, {32, 6, 128}),
          .k = tensor(3, {48, 3, 128}),
          .v = tensor(4, {48, 3, 64}),
          .lse = tensor(5, {6, 32}, DType::f32),
          .cu_seqlens_q = tensor(6, {4}, DType::i32),
          .cu_seqlens_k = tensor(7, {4}, DType::i32)};
}

/// The same with keys and values in 10 pages of 8, of which a sequence has up to 5.
inline Attention paged() {
  Attention args = good();
  args.k = tensor(3, {10, 8, 3, 128});
  args.v = tensor(4, {10, 8, 3, 64});
  args.block_table = tensor(8, {2, 5}, DType::i32);
  return args;
}

/// Calls the operator for these arguments.
inline void call(Runtime& runtime, const Attention& args) {
  attention(runtime, args);
}
inline void call(Runtime& runtime, const AttentionBackward& args) {
  attention_backward(runtime, args);
}

template <class Args = Attention>
std::string refusal(const Args& args) {
  try {
    call(host_runtime(), args);
  } catch (const ArgumentError& e) {
    return e.what();
  } catch (const CudaError&) {
    return "needs a GPU";
  }
  return "accepted";
}

/// Only for machines without a GPU: the addresses are not real.
template <class Args = Attention>
bool passes_checks(const Args& args) {
  return driver::available() || refusal(args) == "needs a GPU";
}

}  // namespace sprue
