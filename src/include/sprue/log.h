// The log sink: the library never prints; the caller may listen.
#pragma once

#include <functional>
#include <string_view>

namespace sprue {

enum class LogLevel { debug, info, warning };

/// Called from any thread, possibly several at once. Must not call back into the runtime.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

}  // namespace sprue
