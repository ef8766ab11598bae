// The product of 64 rows of a warpgroup with the rows of a tile, such as scores of queries and keys. Included by an
// attention kernel below its constants: uses kBlockN, the rows of the tile. By all 128 threads of the warpgroup.
#pragma once

// d = a b, or d += a b if `accumulate`; a [64, 16] and b [kBlockN, 16] in shared memory.
template <int kSwizzle>
__device__ __forceinline__ void multiply_rows_step(float (&d)[kBlockN / 2], u32 a, u32 b, int accumulate) {
//% for n in BLOCK_N / 2..BLOCK_N / 2 + 1
  asm volatile(
      "{\n"
      "  .reg .pred p;\n"
      "  .reg .b64 a, b;\n"
      "  setp.ne.b32 p, %${n + 2}, 0;\n"
      "  mov.b64 a, {%${n}, %${n + 3}};\n"
      "  mov.b64 b, {%${n + 1}, %${n + 3}};\n"
//% if SCALAR == 'bf16'
      "  wgmma.mma_async.sync.aligned.m64n${2 * n}k16.f32.bf16.bf16 {"
//% else
      "  wgmma.mma_async.sync.aligned.m64n${2 * n}k16.f32.f16.f16 {"
//% end
//% for i in 0..BLOCK_N / 8 - 1
      "%${4 * i}, %${4 * i + 1}, %${4 * i + 2}, %${4 * i + 3}, "
//% end
      "%${n - 4}, %${n - 3}, %${n - 2}, %${n - 1}}, a, b, p, 1, 1, 0, 0;\n"
      "}"
      :
//% for i in 0..BLOCK_N / 8 - 1
      "+f"(d[${4 * i}]), "+f"(d[${4 * i + 1}]), "+f"(d[${4 * i + 2}]), "+f"(d[${4 * i + 3}]),
//% end
      "+f"(d[${n - 4}]), "+f"(d[${n - 3}]), "+f"(d[${n - 2}]), "+f"(d[${n - 1}])
      : "r"(a), "r"(b), "r"(accumulate), "n"(descriptor_high(kSwizzle)));
//% end
}

// Issues d = a b^T with tiles in shared memory of kSteps * 16 columns, given by their row_descriptor(): 64 rows of one
// of kRowsA, and the kBlockN of another. kAdds: d += a b^T, right behind a product that has been issued into d.
template <int kSteps, int kRowsA, int kSwizzle, bool kAdds = false>
__device__ __forceinline__ void multiply_rows(float (&d)[kBlockN / 2], u32 a, u32 b) {
  if constexpr (!kAdds) {
    pin(d);
    wgmma_fence();
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    constexpr int kStepsPerPanel = kSwizzle / 32;
    const int panel = step / kStepsPerPanel, column_bytes = step % kStepsPerPanel * 32;
    multiply_rows_step<kSwizzle>(d, a + ((panel * kRowsA * kSwizzle + column_bytes) >> 4),
                                 b + ((panel * kBlockN * kSwizzle + column_bytes) >> 4), kAdds || step != 0);
  }
  wgmma_commit();
}
