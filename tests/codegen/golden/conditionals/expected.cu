// Rendered by Sprue: scale HAS_WEIGHT=false HIDDEN=7 SCALAR=f16 | VEC=1 WARPS=2

// Every form of if, taken and not taken, nested, in a block and below it.

// Problem: what is computed.
using scalar = f16;
constexpr int kWeights = 0;
constexpr int kHidden = 7;

// Schedule: how it is computed.
constexpr int kWarps = 2, kVec = 1;

int second;
int second_inner;
