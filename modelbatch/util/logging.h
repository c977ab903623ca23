// Where the library's messages go: to a sink that the program sets, else
// nowhere. Nothing here writes to stderr by itself.
//
//   SetLogSink(LogSeverity::kWarning, [](LogSeverity severity,
//                                        std::string_view message) {
//     std::cerr << LogSeverityName(severity) << ": " << message << "\n";
//   });
//
// Thread-safe.
#ifndef MODELBATCH_UTIL_LOGGING_H_
#define MODELBATCH_UTIL_LOGGING_H_

#include <cstdint>
#include <functional>
#include <string_view>

namespace modelbatch {

// The numbers are those of the plugin ABI.
enum class LogSeverity : int32_t { kInfo = 0, kWarning = 1, kError = 2 };

// "info", "warning", "error"
const char* LogSeverityName(LogSeverity severity);

// May be called from any thread, also from several at once; must not throw.
using LogSink =
    std::function<void(LogSeverity severity, std::string_view message)>;

// Replaces the sink. It receives messages of at least `minimum`; an empty sink
// drops all. A message under way on another thread may still reach the old one.
void SetLogSink(LogSeverity minimum, LogSink sink);

// Hands a message, without a newline at its end, to the sink.
void Log(LogSeverity severity, std::string_view message);

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_LOGGING_H_
