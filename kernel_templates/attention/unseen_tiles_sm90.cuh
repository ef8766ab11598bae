// Tiles of the gradient of the bias whose keys no query sees. Included by attention_backward_sm90 after
// steps_backward_sm90.cuh.
#pragma once

// They become zeros. A block writes those of keys as far from the last ones as its own are from the first: under a
// causal mask one that visits many tiles has many of these to write meanwhile. Two sequences that share a bias write
// half of the rows each. By a whole warp.
class UnseenTiles {
 public:
  __device__ __forceinline__ UnseenTiles(const BackwardArguments& args, const KeyPlace& place)
      : args_(args), place_(place), seen_(visiting_tiles(args.forward, place.sequence, key())) {
    left_ = (tiles() - seen_.count) * (args.forward.heads / args.forward.kv_heads);
    head_ = left_ / max(tiles() - seen_.count, 1) * place.kv_head;
    skip_seen();
  }

  // One of `shares` parts of what is left.
  __device__ __forceinline__ void write(int shares) {
#pragma unroll 1
    for (const int rest = left_ - ceil_div(left_, shares); left_ > rest; --left_) {
      write_tile();
      ++tile_;
      skip_seen();
      if (tile_ < tiles()) continue;
      ++head_;
      tile_ = 0;
      skip_seen();
    }
  }

 private:
  __device__ __forceinline__ int tiles() const { return ceil_div(args_.bias_q, kBlockM); }
  __device__ __forceinline__ int key() const { return (args_.key_blocks - 1) * kBlockN - place_.key; }
  __device__ __forceinline__ void skip_seen() {
    if (tile_ == seen_.first) tile_ += seen_.count;
  }

  __device__ __forceinline__ void write_tile() const {
    constexpr int kLanes = kBlockN / 8;  // that share a row
    const bool shares = shares_dbias(args_);
    const int lane = threadIdx.x % 32, column = key() + lane % kLanes * 8;
    const int rows = shares ? kBlockM / 2 : kBlockM;
    const int query = tile_ * kBlockM + (shares ? place_.batch * rows : 0), end = min(query + rows, args_.bias_q);
    if (column >= args_.bias_k) return;
    scalar* const head = static_cast<scalar*>(args_.dbias) + (shares ? 0 : place_.batch) * args_.dbias_stride[0] +
                         head_ * args_.dbias_stride[1] + column;
#pragma unroll 1
    for (int i = query + lane / kLanes; i < end; i += 32 / kLanes)
      __stcs(reinterpret_cast<uint4*>(head + i * args_.dbias_stride[2]), uint4{});
  }

  const BackwardArguments& args_;
  const KeyPlace& place_;
  TileSpan seen_;
  int left_, head_, tile_ = 0;
};
