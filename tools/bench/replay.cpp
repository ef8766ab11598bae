#include "bench/replay.h"

#include <algorithm>
#include <deque>

#include "tune/race.h"

namespace sprue::tools {
namespace {

constexpr double kReplayUs = 2000;

int launches_per_replay(Stream stream, const std::function<void(Stream, int)>& launch) {
  launch(stream, 0);
  driver::Event begin, end;
  begin.record(stream);
  launch(stream, 0);
  end.record(stream);
  const double us = 1000 * driver::elapsed_ms(begin, end);
  return static_cast<int>(std::clamp(kReplayUs / std::max(us, 1.0), 1.0, 500.0));
}

driver::Graph captured(Stream stream, int launches, const std::function<void(Stream, int)>& launch) {
  driver::begin_capture(stream);
  for (int i = 0; i < launches; ++i) launch(stream, i);
  return driver::end_capture(stream);
}

}  // namespace

Replay::Replay(Stream stream, const std::function<void(Stream, int)>& launch)
    : stream_(stream),
      launches_(launches_per_replay(stream, launch)),
      graph_(captured(stream, launches_, launch)) {}

std::vector<double> Replay::sample_us(int count) {
  std::deque<driver::Event> events(static_cast<std::size_t>(count) + 1);
  for (driver::Event& event : events) {
    graph_.launch(stream_);  // the first one keeps the GPU busy while the host gives it the others
    event.record(stream_);
  }
  std::vector<double> samples;
  for (std::size_t i = 1; i < events.size(); ++i) {
    samples.push_back(1000 * driver::elapsed_ms(events[i - 1], events[i]) / launches_);
  }
  return samples;
}

double Replay::median_us(double seconds) {
  const double once = std::max(1.0, tune::median(sample_us(3)) * launches_);
  const auto replays = [&](double part) {
    return static_cast<int>(std::clamp(part * 1e6 / once, 1.0, 500.0));
  };
  sample_us(replays(seconds / 10));
  return tune::median(sample_us(std::max(10, replays(seconds))));
}

}  // namespace sprue::tools
