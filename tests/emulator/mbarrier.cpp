#include "emulator/decoder.h"
namespace emulator {
void add_mbarrier(Families&) {}
}  // namespace emulator
