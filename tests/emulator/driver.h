// What the entry points of the emulated driver share. Includes cuda.h: for driver_*.cpp only.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "emulator/program.h"

namespace emulator {

/// "libcuda.so.1" answers this with what the last fault was; other codes with a text of their own.
CUresult report_fault(const std::string& text);

struct Kernel {
  Program program;
  int dynamic_shared_limit = 48 * 1024;
};
struct Library {
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
  std::vector<void*> variables;
};

/// Does `act` now, or when the graph that `stream` is being captured into is launched.
CUresult submit(CUstream stream, std::function<CUresult()> act);
bool is_capturing(CUstream stream);

/// 90 for sm_90: SPRUE_EMULATED_SM, by default 90.
int emulated_sm();
/// Of Turns, another one for every launch of the process; always 0 unless SPRUE_EMULATED_SEED is given and is
/// not 0.
std::uint64_t next_seed();
/// Few, so that blocks that stay for all of a kernel have much to do.
constexpr int kMultiprocessors = 2;
int shared_bytes_per_block();

}  // namespace emulator
