// Rendered by Sprue: scale HAS_WEIGHT=false HIDDEN=8 SCALAR=f32 | VEC=4 WARPS=4

// Blank lines are squeezed, also around directives; carriage returns go.

// Problem: what is computed.
using scalar = f32;
constexpr int kHidden = 8;

// Schedule: how.
constexpr int kWarps = 4, kVec = 4;

int last;  // no newline at the end, then blank lines
