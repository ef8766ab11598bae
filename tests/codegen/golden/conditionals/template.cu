// Every form of if, taken and not taken, nested, in a block and below it.

// Problem: what is computed.
using scalar = ${SCALAR};
//% if HAS_WEIGHT
constexpr int kWeights = 1;
//% else
constexpr int kWeights = 0;
//% end
constexpr int kHidden = ${HIDDEN};

// Schedule: how it is computed.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};

//% if SCALAR == 'f32' || HIDDEN > 4096
int first;
//% elif SCALAR == 'f16' && HIDDEN % 2 == 1
int second;
  //% if max(WARPS, VEC) == 2
int second_inner;
  //% end
//% elif true
int third;
//% else
int fourth;
//% end
//% if !(WARPS < 4)
int never;
//% end
