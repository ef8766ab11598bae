#include "emulator/decoder.h"
namespace emulator {
void add_async(Families&) {}
}  // namespace emulator
