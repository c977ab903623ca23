#include "backends/libtorch/call_scope.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "modelbatch/util/logging.h"

namespace modelbatch::libtorch {
namespace {

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

class LogWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    Log(LogSeverity::kWarning, "LibTorch: " + FirstLine(warning.msg()));
  }
};

}  // namespace

struct CallScope::Impl {
  explicit Impl(c10::WarningHandler* handler) : guard(handler) {}

  c10::WarningUtils::WarningHandlerGuard guard;
  int threads_before = 0;
};

CallScope::CallScope(int threads) {
  static LogWarnings handler;
  impl_ = std::make_unique<Impl>(&handler);
  impl_->threads_before = at::get_num_threads();
  if (impl_->threads_before != threads) at::set_num_threads(threads);
}

CallScope::~CallScope() {
  if (at::get_num_threads() != impl_->threads_before) {
    at::set_num_threads(impl_->threads_before);
  }
}

absl::Status CatchTorch(absl::FunctionRef<void()> body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const c10::OutOfMemoryError& e) {
    return absl::ResourceExhaustedError("LibTorch: " +
                                        FirstLine(e.what_without_backtrace()));
  } catch (const c10::Error& e) {
    const std::string message = FirstLine(e.what_without_backtrace());
    // The CPU's allocator has no exception of its own.
    return message.find("not enough memory") != std::string::npos
               ? absl::ResourceExhaustedError("LibTorch: " + message)
               : absl::InternalError("LibTorch: " + message);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("LibTorch: out of memory");
  } catch (const std::exception& e) {
    return absl::InternalError("LibTorch: " + FirstLine(e.what()));
  } catch (...) {
    return absl::InternalError("LibTorch: an exception of unknown type");
  }
}

}  // namespace modelbatch::libtorch
