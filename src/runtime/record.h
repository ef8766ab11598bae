// The fields of a cache entry: the record that its key is computed from, and the metadata that spares a hit
// the compiler.
#pragma once

#include <string>

#include "core/architecture.h"
#include "core/fields.h"
#include "core/values.h"

namespace sprue {

/// Everything that can change a byte of the cubin, except the compiler itself, which is the other half of the
/// key: schema, kernel, architecture, options, text. The text is complete, so no header can be missing.
Fields key_record(const Source& source, const Architecture& arch);

/// What a cubin does not say of itself, for loading and for `sprue cache show`.
Fields metadata(const Source& source, const Cubin& cubin, const Architecture& arch, const std::string& nvrtc);

/// The parts of a cubin that the metadata keeps; absent or malformed numbers read as 0.
Cubin cubin_of(std::string image, const Fields& metadata);

}  // namespace sprue
