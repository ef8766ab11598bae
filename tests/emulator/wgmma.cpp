#include "emulator/decoder.h"
namespace emulator {
void add_wgmma(Families&) {}
}  // namespace emulator
