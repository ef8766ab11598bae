#include "emulator/decoder.h"
namespace emulator {
void add_bulk(Families&) {}
}  // namespace emulator
