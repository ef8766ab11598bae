#include "emulator/async.h"
namespace emulator {
void add_bulk(Families&) {}
void build_bulk(Decoder& d, Instruction&) {
  d.unsupported();
}
}  // namespace emulator
