// Streams, events and graphs that clean up after themselves: for tools and tests. Operators use the caller's
// streams.
#pragma once

#include "sprue/tensor.h"

struct CUevent_st;
struct CUgraphExec_st;

namespace sprue::driver {

/// Waits until everything given to `stream` is done; reports what went wrong in it as a CudaError.
void synchronize(Stream stream);

/// A stream of the current device that does not wait for the default stream.
class StreamHandle {
 public:
  StreamHandle();
  ~StreamHandle();
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;

  operator Stream() const { return stream_; }

 private:
  Stream stream_ = nullptr;
};

/// A moment in a stream, with a time.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream stream);
  void synchronize() const;

 private:
  friend double elapsed_ms(const Event& begin, const Event& end);
  CUevent_st* event_ = nullptr;
};

/// Waits for `end`.
double elapsed_ms(const Event& begin, const Event& end);

/// What a stream was given between begin_capture and end_capture, to be launched as often as wanted.
class Graph {
 public:
  explicit Graph(CUgraphExec_st* executable) : executable_(executable) {}
  ~Graph();
  Graph(Graph&& other) noexcept : executable_(other.executable_) { other.executable_ = nullptr; }
  Graph& operator=(Graph&&) = delete;

  void launch(Stream stream) const;

 private:
  CUgraphExec_st* executable_;
};

/// Captures what this thread gives to `stream`, which must not be the default stream.
void begin_capture(Stream stream);
Graph end_capture(Stream stream);

}  // namespace sprue::driver
