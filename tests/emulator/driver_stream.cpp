// Streams, which run at once what they are given; graphs, which keep it; events.
#include <atomic>
#include <chrono>
#include <mutex>

#include "emulator/driver.h"

namespace {

using Act = std::function<CUresult()>;

struct Stream {
  unsigned long long id = 0;
  bool capturing = false;
  std::vector<Act> captured;
};
struct Event {
  std::chrono::steady_clock::time_point at;
};

std::atomic<unsigned long long> next_id = 2;
thread_local CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

// The default stream has no object of its own.
Stream* own(CUstream stream) {
  return reinterpret_cast<std::uintptr_t>(stream) <= 2 ? nullptr : reinterpret_cast<Stream*>(stream);
}
Event* own(CUevent event) {
  return reinterpret_cast<Event*>(event);
}

/// Work of one stream never overlaps, whichever threads give it; here no work does.
CUresult run_alone(const Act& act) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return act();
}

}  // namespace

namespace emulator {

bool is_capturing(CUstream stream) {
  return own(stream) != nullptr && own(stream)->capturing;
}
CUresult submit(CUstream stream, Act act) {
  if (!is_capturing(stream)) return run_alone(act);
  own(stream)->captured.push_back(std::move(act));
  return CUDA_SUCCESS;
}

}  // namespace emulator

CUresult cuStreamCreate(CUstream* stream, unsigned) {
  auto* const made = new Stream;
  made->id = next_id++;
  *stream = reinterpret_cast<CUstream>(made);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream stream) {
  delete own(stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  *status = emulator::is_capturing(stream) ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
  *id = own(stream) == nullptr ? 1 : own(stream)->id;
  return CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
  if (own(stream) == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  own(stream)->capturing = true;
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  if (!emulator::is_capturing(stream)) return CUDA_ERROR_INVALID_VALUE;
  own(stream)->capturing = false;
  *graph = reinterpret_cast<CUgraph>(new std::vector<Act>(std::move(own(stream)->captured)));
  own(stream)->captured.clear();
  return CUDA_SUCCESS;
}
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  std::swap(capture_mode, *mode);
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  *executable =
      reinterpret_cast<CUgraphExec>(new std::vector<Act>(*reinterpret_cast<std::vector<Act>*>(graph)));
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  for (const Act& act : *reinterpret_cast<std::vector<Act>*>(executable)) {
    if (const CUresult result = run_alone(act); result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<std::vector<Act>*>(graph);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete reinterpret_cast<std::vector<Act>*>(executable);
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned) {
  *event = reinterpret_cast<CUevent>(new Event);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent event) {
  delete own(event);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream) {
  own(event)->at = std::chrono::steady_clock::now();
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent) {
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  *milliseconds = std::chrono::duration<float, std::milli>(own(end)->at - own(begin)->at).count();
  return CUDA_SUCCESS;
}
