// Where rows lie. Included by kernels that work on rows, below their constants: uses kRowDims.
#pragma once

// How far apart a tensor's rows lie: strides of its first kRowDims dimensions, in elements, outermost first.
struct RowStrides {
  i64 stride[5];
};

// Where each of kCount tensors has its row number `row`.
template <int kCount>
__device__ __forceinline__ void row_offsets(i64 (&offset)[kCount], const i64 (&extent)[5],
                                            const RowStrides (&strides)[kCount], i64 row) {
#pragma unroll
  for (int t = 0; t < kCount; ++t) offset[t] = 0;
#pragma unroll
  for (int d = kRowDims - 1; d >= 0; --d) {
    const i64 index = d == 0 ? row : row % extent[d];
    if (d != 0) row /= extent[d];
#pragma unroll
    for (int t = 0; t < kCount; ++t) offset[t] += index * strides[t].stride[d];
  }
}
