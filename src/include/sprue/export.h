// SPRUE_API marks the symbols that the shared library shows; all others stay hidden.
#pragma once

#if defined(__GNUC__)
#define SPRUE_API __attribute__((visibility("default")))
#else
#define SPRUE_API
#endif
