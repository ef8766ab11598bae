// Vectors.
#pragma once

//% include "device/types.cuh"

//% for n in 1..3
struct Vec${n} {
  f32 x[${n}];
};
//% end
