// render: KernelSpec → Source. Pure and deterministic. The template language is described in
// kernel_templates/README.md.
#pragma once

#include "codegen/manifest.h"
#include "codegen/store.h"
#include "core/values.h"

namespace sprue::codegen {

/// `spec` must be complete (see complete_spec). Strict: an unknown, unused or leftover name is a
/// TemplateError with file, line and column. Device headers are inlined, each once, so that the text is
/// self-contained.
Source render(const TemplateStore& store, const Manifest& manifest, const KernelSpec& spec);

}  // namespace sprue::codegen
