#include "modelbatch/util/logging.h"

#include <memory>
#include <mutex>
#include <utility>

namespace modelbatch {
namespace {

struct Sink {
  LogSeverity minimum;
  LogSink function;
};

struct State {
  std::mutex mutex;
  std::shared_ptr<const Sink> sink;  // null: none
};

// Never destroyed: threads may log while the process ends.
State& GlobalState() {
  static State* const state = new State;
  return *state;
}

}  // namespace

const char* LogSeverityName(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kInfo:
      return "info";
    case LogSeverity::kWarning:
      return "warning";
    case LogSeverity::kError:
      return "error";
  }
  return "unknown";
}

void SetLogSink(LogSeverity minimum, LogSink sink) {
  std::shared_ptr<const Sink> next;
  if (sink) next = std::make_shared<Sink>(Sink{minimum, std::move(sink)});
  State& state = GlobalState();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.sink.swap(next);
}

void Log(LogSeverity severity, std::string_view message) {
  State& state = GlobalState();
  std::shared_ptr<const Sink> sink;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    sink = state.sink;
  }
  // Called without the lock, so that a sink may log or replace itself.
  if (sink != nullptr && severity >= sink->minimum) {
    sink->function(severity, message);
  }
}

}  // namespace modelbatch
