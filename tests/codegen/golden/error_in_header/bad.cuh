// A header with an if that is never closed.
#pragma once

  //% if HAS_WEIGHT
int x;
