// One row of what norm_forward sums. Included by it below its Params.
#pragma once

//% include "norm/row_part.cuh"

// The row of that number, if there is one.
struct Row : RowPlace {
  RowPart<scalar> x;
  //% if HAS_X1
  RowPart<scalar> x1;
  //% end
  //% if RESIDUAL != 'none' && ADDS_RESIDUAL
  RowPart<residual_scalar> residual;
  //% end
  //% if GATE != 'none'
  RowPart<scalar> gate;
  //% end
  int lane;
  bool is_there;

  __device__ __forceinline__ Row(const Params& params, i64 row_number, int stage)
      : lane(row_lane()), is_there((kRowsPerBlock == 1 && kStages == 0) || row_number < params.rows) {
    static_cast<RowPlace&>(*this) = place_of(params, row_number, is_there);
    int start = 0;
    x.find(params.x + at[kX], start, stage);
    //% if HAS_X1
    x1.find(params.x1 + at[kX1], start, stage);
    //% end
    //% if RESIDUAL != 'none' && ADDS_RESIDUAL
    residual.find(params.residual + at[kResidual], start, stage);
    //% end
    //% if GATE != 'none'
    gate.find(params.gate + at[kGate], start, stage);
    //% end
  }
  __device__ __forceinline__ bool has(int i) const { return is_there && has_vector(lane, i); }
  // Begins to copy vector i of all of them to shared memory.
  __device__ __forceinline__ void copy(int i) const {
    //% if STAGES > 0
    if (!has(i)) return;
    x.copy(lane, i);
    //% if HAS_X1
    x1.copy(lane, i);
    //% end
    //% if RESIDUAL != 'none' && ADDS_RESIDUAL
    residual.copy(lane, i);
    //% end
    //% if GATE != 'none'
    gate.copy(lane, i);
    //% end
    //% end
  }
};
