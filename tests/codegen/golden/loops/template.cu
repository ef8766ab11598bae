// Operand lists: what loops are for.

// Problem: what is computed.
using scalar = ${SCALAR};
constexpr int kHidden = ${HIDDEN};
constexpr bool kHasWeight = ${HAS_WEIGHT};

// Schedule: how it is computed.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};

asm volatile("mma {"
//% for i in 0..VEC
//% if i + 1 < VEC
             "%${i}, "
//% else
             "%${i}"
//% end
//% end
             "};"
//% for i in 0..2
//% for j in i..2
             :: "r"(a[${i}]), "r"(b[${2 * j + i}]),
//% end
//% end
             "n"(kVec));
//% for i in 3..3
never ${i}
//% end
