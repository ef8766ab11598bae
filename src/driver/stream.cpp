#include "driver/stream.h"

#include "driver/api.h"
#include "driver/device.h"

namespace sprue::driver {

void synchronize(Stream stream) {
  SPRUE_CUDA(cuStreamSynchronize, stream);
}

StreamHandle::StreamHandle() {
  current_device();
  SPRUE_CUDA(cuStreamCreate, &stream_, CU_STREAM_NON_BLOCKING);
}

StreamHandle::~StreamHandle() {
  api().cuStreamDestroy(stream_);
}

Event::Event() {
  current_device();
  SPRUE_CUDA(cuEventCreate, &event_, CU_EVENT_DEFAULT);
}

Event::~Event() {
  api().cuEventDestroy(event_);
}

void Event::record(Stream stream) {
  SPRUE_CUDA(cuEventRecord, event_, stream);
}

void Event::synchronize() const {
  SPRUE_CUDA(cuEventSynchronize, event_);
}

double elapsed_ms(const Event& begin, const Event& end) {
  end.synchronize();
  float milliseconds = 0;
  SPRUE_CUDA(cuEventElapsedTime, &milliseconds, begin.event_, end.event_);
  return milliseconds;
}

Graph::~Graph() {
  if (executable_) api().cuGraphExecDestroy(executable_);
}

void Graph::launch(Stream stream) const {
  SPRUE_CUDA(cuGraphLaunch, executable_, stream);
}

void begin_capture(Stream stream) {
  SPRUE_CUDA(cuStreamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

Graph end_capture(Stream stream) {
  CUgraph graph = nullptr;
  SPRUE_CUDA(cuStreamEndCapture, stream, &graph);
  CUgraphExec executable = nullptr;
  const CUresult result = api().cuGraphInstantiateWithFlags(&executable, graph, 0);
  api().cuGraphDestroy(graph);
  check(result, "cuGraphInstantiateWithFlags");
  return Graph(executable);
}

}  // namespace sprue::driver
