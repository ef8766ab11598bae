// Headers are inlined where they are first included, each once, and may use directives.
//% include "device/vector.cuh"
//% include "device/types.cuh"

// Problem: what is computed.
using scalar = ${SCALAR};
constexpr int kHidden = ${HIDDEN};

// Schedule: how it is computed.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};

//% if HAS_WEIGHT
//% include "device/missing_unless_weight.cuh"
//% end
