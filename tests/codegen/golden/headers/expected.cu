// Rendered by Sprue: scale HAS_WEIGHT=false HIDDEN=8 SCALAR=f32 | VEC=4 WARPS=4

// Headers are inlined where they are first included, each once, and may use directives.

// Vectors.

// Types.

using f32 = float;

struct Vec1 {
  f32 x[1];
};
struct Vec2 {
  f32 x[2];
};

// Problem: what is computed.
using scalar = f32;
constexpr int kHidden = 8;

// Schedule: how it is computed.
constexpr int kWarps = 4, kVec = 4;
