// The files of kernel_templates/ as the build put them into the library; cmake/embed_templates.cmake writes
// the definition.
#pragma once

#include <span>

namespace sprue::codegen {

/// A piece of one file. A long file has several, one after the other, because compilers limit string
/// literals.
struct EmbeddedText {
  const char* path;
  const char* text;
};

std::span<const EmbeddedText> embedded_texts();

}  // namespace sprue::codegen
