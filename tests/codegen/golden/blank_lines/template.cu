// Blank lines are squeezed, also around directives; carriage returns go.


// Problem: what is computed.
using scalar = ${SCALAR};
constexpr int kHidden = ${HIDDEN};


//% if HAS_WEIGHT

int weight;

//% end

  	 
// Schedule: how.
constexpr int kWarps = ${WARPS}, kVec = ${VEC};



int last;  // no newline at the end, then blank lines


   