// Rendered by Sprue: scale HAS_WEIGHT=true HIDDEN=96 SCALAR=bf16 | VEC=4 WARPS=4

// y[r, :] = 2 x[r, :]
//
//   x, y   [rows, kHidden]   scalar

// Problem: what is computed.
using scalar = bf16;
constexpr int kHidden = 96;
constexpr bool kHasWeight = true;

// Schedule: how it is computed.
constexpr int kWarps = 4, kVec = 4;
static_assert(kHidden % kVec == 0, "VEC must divide HIDDEN");

extern "C" __global__ void scale() {}
