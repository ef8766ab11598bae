// The producer warp of attention_sm90: copies queries, keys and values of tile after tile into shared memory.
// Included by the kernel after shared_sm90.cuh.
#pragma once

// Keys or values of tile n. By all producer threads; waits for `empty` first.
template <int kPanels, int kSwizzle, int kBytes>
__device__ __forceinline__ void load_keys(const Params& params, const TensorMap& map, const Work& work,
                                          int kv_head, int n, int column, u32 dst, u32 empty, u32 full,
                                          u32 parity, u64 policy) {
  const int lane = threadIdx.x;
  if constexpr (kPaged) {
    // Each lane copies the rows of other pages. Rows beyond the sequence may have no page.
    const int rows = params.box_rows, rows_needed = min(kBlockN, work.sequence.seqlen_k - n * kBlockN);
    const int boxes = rows_needed > 0 ? (rows_needed + rows - 1) / rows : 0;
    const int* table = params.args.block_table + work.batch * params.args.block_table_stride[0];
    wait(empty, parity ^ 1);
    if (lane == 0) arrive_and_expect(full, boxes * rows * kPanels * kSwizzle);
    __syncwarp();
    for (int box = lane; box < boxes; box += 32) {
      const int key = n * kBlockN + box * rows;
      const int page = table[key / params.args.page_size * params.args.block_table_stride[1]];
#pragma unroll
      for (int p = 0; p < kPanels; ++p) {
        load_box(dst + (p * kBlockN + box * rows) * kSwizzle, map, full, policy, column + p * kSwizzle / 2,
                 key % params.args.page_size, kv_head, page);
      }
    }
  } else if (lane == 0) {
    wait(empty, parity ^ 1);
    arrive_and_expect(full, kBytes);
    const int batch = kVarlen && params.args.cu_seqlens_k != nullptr ? 0 : work.batch;
#pragma unroll
    for (int p = 0; p < kPanels; ++p) {
      load_box(dst + p * kBlockN * kSwizzle, map, full, policy, column + p * kSwizzle / 2,
               work.sequence.first_k + n * kBlockN, kv_head, batch);
    }
  }
}

// The queries of a tile and what the consumers have to know about it. By one thread; waits for `query_empty`.
__device__ __forceinline__ void load_queries(const Params& params, const Shared& shared, const Work& work,
                                             const Ring<kQueryStages>& queries, u64 policy) {
  const u32 full = shared.query_full(queries.stage);
  wait(shared.query_empty(queries.stage), queries.parity ^ 1);
  shared.write_work(queries.stage, work);
  if (work.batch < 0) return arrive(full);
  arrive_and_expect(full, kConsumers * kQueryBytes);
  const int batch = kVarlen && params.args.cu_seqlens_q != nullptr ? 0 : work.batch;
#pragma unroll
  for (int w = 0; w < kConsumers; ++w) {
#pragma unroll
    for (int p = 0; p < kPanelsK; ++p) {
      load_box(shared.queries(queries.stage, w) + p * 64 * kSwizzleK, params.q, full, policy, p * kPanelK, 0,
               work.sequence.first_q + work.query + w * 64 / kPackedHeads, work.head / kPackedHeads, batch);
    }
  }
}

__device__ __forceinline__ void produce(const Params& params, const Shared& shared) {
  const bool elected = threadIdx.x == 0;
  const u64 once = evict_first_policy(), often = evict_last_policy();
  Ring<kQueryStages> queries;
  Ring<kStages> tiles;
  Schedule schedule(params);
#pragma unroll 1
  while (true) {
    const Work work = schedule.next();
    if (elected && (!kKeysFirst || work.batch < 0)) load_queries(params, shared, work, queries, once);
    if (work.batch < 0) break;
    const int kv_head = work.head / params.group;
#pragma unroll 1
    for (int n = work.tiles.end - 1; n >= work.tiles.first; --n) {
      load_keys<kPanelsK, kSwizzleK, kKeyBytes>(params, params.k, work, kv_head, n, 0,
                                                shared.keys(tiles.stage), shared.key_empty(tiles.stage),
                                                shared.key_full(tiles.stage), tiles.parity, often);
      load_keys<kPanelsV, kSwizzleV, kValueBytes>(params, params.v, work, kv_head, n, work.part * kBlockV,
                                                  shared.values(tiles.stage), shared.value_empty(tiles.stage),
                                                  shared.value_full(tiles.stage), tiles.parity, often);
      tiles.advance();
      if (elected && kKeysFirst && n == work.tiles.end - 1) load_queries(params, shared, work, queries, once);
    }
    queries.advance();
  }
}
