// Rendered by Sprue: scale HAS_WEIGHT=false HIDDEN=8 SCALAR=f32 | VEC=4 WARPS=4

// Operand lists: what loops are for.

// Problem: what is computed.
using scalar = f32;
constexpr int kHidden = 8;
constexpr bool kHasWeight = false;

// Schedule: how it is computed.
constexpr int kWarps = 4, kVec = 4;

asm volatile("mma {"
             "%0, "
             "%1, "
             "%2, "
             "%3"
             "};"
             :: "r"(a[0]), "r"(b[0]),
             :: "r"(a[0]), "r"(b[2]),
             :: "r"(a[1]), "r"(b[3]),
             "n"(kVec));
