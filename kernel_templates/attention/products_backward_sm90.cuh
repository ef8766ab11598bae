// The matrix products of attention_backward_sm90. Included by the kernel below its constants. By all 128
// threads of a warpgroup.
#pragma once

// One step of 16 of the dimension that is summed over: d += a b, or d = a b unless `accumulate`, with a and b
// in shared memory (multiply_step), or d += a b with a in registers (accumulate_step). d has 64 rows and, by
// its size, the columns of one of the products. kTransposedA, kTransposedB: the rows of that operand are
// summed over, else its columns.
//% for n in 1..33
//% if n == BLOCK_M / 8 || n == (HEAD_DIM + 31) / 32 * BLOCK_M / 32 || BLOCK_N == 64 && n == (HEAD_DIM_V + 31) / 32 * 2 || BLOCK_N == 128 && max(HEAD_DIM, HEAD_DIM_V) > 128 && n == (HEAD_DIM + 31) / 32 * 4
template <bool kTransposedA, bool kTransposedB, int kSwizzleA, int kSwizzleB>
__device__ __forceinline__ void multiply_step(float (&d)[${4 * n}], u32 a, u32 b, int accumulate) {
  asm volatile(
      "{\n"
      "  .reg .pred p;\n"
      "  .reg .b64 a, b;\n"
      "  setp.ne.b32 p, %${4 * n + 2}, 0;\n"
      "  mov.b64 a, {%${4 * n}, %${4 * n + 3}};\n"
      "  mov.b64 b, {%${4 * n + 1}, %${4 * n + 4}};\n"
//% if SCALAR == 'bf16'
      "  wgmma.mma_async.sync.aligned.m64n${8 * n}k16.f32.bf16.bf16 {"
//% else
      "  wgmma.mma_async.sync.aligned.m64n${8 * n}k16.f32.f16.f16 {"
//% end
//% for i in 0..n - 1
      "%${4 * i}, %${4 * i + 1}, %${4 * i + 2}, %${4 * i + 3}, "
//% end
      "%${4 * n - 4}, %${4 * n - 3}, %${4 * n - 2}, %${4 * n - 1}}, a, b, p, 1, 1, %${4 * n + 5}, %${4 * n + 6};\n"
      "}"
      :
//% for i in 0..n - 1
      "+f"(d[${4 * i}]), "+f"(d[${4 * i + 1}]), "+f"(d[${4 * i + 2}]), "+f"(d[${4 * i + 3}]),
//% end
      "+f"(d[${4 * n - 4}]), "+f"(d[${4 * n - 3}]), "+f"(d[${4 * n - 2}]), "+f"(d[${4 * n - 1}])
      : "r"(a), "r"(b), "r"(accumulate), "n"(descriptor_high(kSwizzleA)), "n"(descriptor_high(kSwizzleB)),
        "n"(kTransposedA ? 1 : 0), "n"(kTransposedB ? 1 : 0));
}
//% end
//% if BLOCK_N == 128 && (8 * n == (HEAD_DIM + 31) / 32 * 32 || 8 * n == (HEAD_DIM_V + 15) / 16 * 16)
template <int kSwizzleB>
__device__ __forceinline__ void accumulate_step(float (&d)[${4 * n}], const u32* a, u32 b) {
  asm volatile(
      "{\n"
      "  .reg .b64 b;\n"
      "  mov.b64 b, {%${4 * n + 4}, %${4 * n + 5}};\n"
//% if SCALAR == 'bf16'
      "  wgmma.mma_async.sync.aligned.m64n${8 * n}k16.f32.bf16.bf16 {"
//% else
      "  wgmma.mma_async.sync.aligned.m64n${8 * n}k16.f32.f16.f16 {"
//% end
//% for i in 0..n - 1
      "%${4 * i}, %${4 * i + 1}, %${4 * i + 2}, %${4 * i + 3}, "
//% end
      "%${4 * n - 4}, %${4 * n - 3}, %${4 * n - 2}, %${4 * n - 1}}, "
      "{%${4 * n}, %${4 * n + 1}, %${4 * n + 2}, %${4 * n + 3}}, b, 1, 1, 1, 1;\n"
      "}"
      :
//% for i in 0..n - 1
      "+f"(d[${4 * i}]), "+f"(d[${4 * i + 1}]), "+f"(d[${4 * i + 2}]), "+f"(d[${4 * i + 3}]),
//% end
      "+f"(d[${4 * n - 4}]), "+f"(d[${4 * n - 3}]), "+f"(d[${4 * n - 2}]), "+f"(d[${4 * n - 1}])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(descriptor_high(kSwizzleB)));
}
//% end
//% end

// Issues d = a b^T: 64 of a tile's kRowsA rows, the first at address a, with a tile of kBlockM
// queries; both have kSteps * 16 columns.
template <int kSteps, int kRowsA, int kSwizzleA, int kSwizzleB>
__device__ __forceinline__ void multiply_rows(float (&d)[kScores], u32 a, u32 b) {
  pin(d);
  wgmma_fence();
  const u32 first_a = row_descriptor(a), first_b = row_descriptor(b);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int panel_a = step * 32 / kSwizzleA, panel_b = step * 32 / kSwizzleB;
    multiply_step<false, false, kSwizzleA, kSwizzleB>(
        d, first_a + ((panel_a * kRowsA * kSwizzleA + step * 32 % kSwizzleA) >> 4),
        first_b + ((panel_b * kBlockM * kSwizzleB + step * 32 % kSwizzleB) >> 4), step != 0);
  }
  wgmma_commit();
}

//% if BLOCK_N == 128
// Issues d += a b: 64 keys by kBlockM queries in registers, with kBlockM queries at address b.
template <int kSwizzle, int N>
__device__ __forceinline__ void accumulate(float (&d)[N], u32 (&a)[kScores / 2], u32 b) {
  pin(d);
  pin(a);
  wgmma_fence();
  const u32 first = column_descriptor<kBlockM * kSwizzle>(b);
#pragma unroll
  for (int step = 0; step < kBlockM / 16; ++step)
    accumulate_step<kSwizzle>(d, &a[4 * step], first + ((step * 16 * kSwizzle) >> 4));
  wgmma_commit();
}
//% end
//% if BLOCK_N == 64 || max(HEAD_DIM, HEAD_DIM_V) > 128
// The same with a in shared memory.
template <int kSwizzle, int N>
__device__ __forceinline__ void accumulate_scores(float (&d)[N], u32 a, u32 b) {
  pin(d);
  wgmma_fence();
  const u32 first_a = row_descriptor(a), first_b = column_descriptor<kBlockM * kSwizzle>(b);
#pragma unroll
  for (int step = 0; step < kBlockM / 16; ++step)
    multiply_step<false, true, kSwizzleS, kSwizzle>(d, first_a + step * 2,
                                                    first_b + ((step * 16 * kSwizzle) >> 4), 1);
  wgmma_commit();
}
//% end

// Issues dq = a^T b, or a b with kQueriesByKeys: 64 queries' gradients of scores at address a, with keys at address b.
__device__ __forceinline__ void multiply_gradients(float (&dq)[kQueryColumns / 2], u32 a, u32 b) {
  pin(dq);
  wgmma_fence();
  const u32 first_a = kQueriesByKeys ? row_descriptor(a) : column_descriptor<kBlockN * kSwizzleS>(a),
            first_b = column_descriptor<kBlockN * kSwizzleK>(b);
#pragma unroll
  for (int step = 0; step < kBlockN / 16; ++step) {
    const int bytes = 32 * step, offset = kQueriesByKeys ? bytes / kSwizzleS * kBlockM * kSwizzleS + bytes % kSwizzleS
                                                         : step * 16 * kSwizzleS;
    multiply_step<!kQueriesByKeys, true, kSwizzleS, kSwizzleK>(dq, first_a + (offset >> 4),
                                                               first_b + ((step * 16 * kSwizzleK) >> 4), step != 0);
  }
  wgmma_commit();
}

// The accumulator's layout is that of the left operand: rounding is all there is to do.
template <int N>
__device__ __forceinline__ void pack(u32 (&packed)[N / 2], const float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) packed[i] = device::pack<scalar>(x[2 * i], x[2 * i + 1]);
}
template <int N>
__device__ __forceinline__ void unpack(float (&x)[N], const u32 (&packed)[N / 2]) {
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = element(reinterpret_cast<const Vec<scalar, 2>&>(packed[i / 2]), i % 2);
}
