// y[r, :] = 2 x[r, :]
//
//   x, y   [rows, kHidden]   scalar

// Problem: what is computed.
using scalar = ${SCALAR};
constexpr int kHidden = ${HIDDEN};
constexpr bool kHasWeight = ${HAS_WEIGHT};

// Schedule: how it is computed.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};
static_assert(kHidden % kVec == 0, "VEC must divide HIDDEN");

extern "C" __global__ void scale() {}
