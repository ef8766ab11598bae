#include "emulator/fixture.h"
