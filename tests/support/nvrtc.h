// For tests that compile: where NVRTC is to be looked for, and SKIP_WITHOUT_NVRTC().
#pragma once

#include <cstdlib>

#include "compiler/compiler.h"
#include "support/catch.h"

inline sprue::compiler::CompilerSearch nvrtc_search() {
  const char* given = std::getenv("SPRUE_NVRTC");
  return {.nvrtc = given ? given : ""};
}

#define SKIP_WITHOUT_NVRTC() \
  if (!sprue::compiler::find_compiler(nvrtc_search())) SKIP_TEST("no NVRTC")
