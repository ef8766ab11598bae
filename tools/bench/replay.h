// Replay: times launches between device events. Several launches make one CUDA graph, so that neither the
// host nor short kernels spoil the figure.
#pragma once

#include <functional>
#include <vector>

#include "driver/stream.h"

namespace sprue::tools {

class Replay {
 public:
  /// Launches once to warm up and once to see how long it takes, then captures so many launches that a replay
  /// takes about two milliseconds: `launch(stream, i)` for i = 0, 1, ... Its kernels must be loaded.
  Replay(Stream stream, const std::function<void(Stream, int)>& launch);

  /// Microseconds per launch in each of `count` replays that follow each other; one more runs ahead of them.
  std::vector<double> sample_us(int count);
  /// The median over about `seconds` of replays, at least ten, after as long a warm-up as a tenth of that.
  double median_us(double seconds = 0.5);

 private:
  Stream stream_;
  int launches_;
  driver::Graph graph_;
};

}  // namespace sprue::tools
