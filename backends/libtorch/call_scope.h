// What holds while a thread runs LibTorch for a session, and how it fails.
#ifndef BACKENDS_LIBTORCH_CALL_SCOPE_H_
#define BACKENDS_LIBTORCH_CALL_SCOPE_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace modelbatch::libtorch {

// For the calling thread, until the object goes: LibTorch's operations use
// `threads` threads, and its warnings are logged (modelbatch/util/logging.h)
// instead of written to stderr.
class CallScope {
 public:
  explicit CallScope(int threads);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Calls `body`. What it throws becomes a status with one line of message:
// ResourceExhausted when memory ran out, else Internal.
absl::Status CatchTorch(absl::FunctionRef<void()> body);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_CALL_SCOPE_H_
