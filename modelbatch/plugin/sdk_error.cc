#include "modelbatch/plugin/sdk_error.h"

#include <string>

#include "absl/strings/str_cat.h"

struct MB_Error {
  int32_t code;
  std::string message;
};

namespace modelbatch {
namespace {

// Made before it is needed: when memory is short there is none for it.
MB_Error* const kOutOfMemory =
    new MB_Error{MB_RESOURCE_EXHAUSTED, "out of memory in the plugin"};

}  // namespace

int32_t ErrorCode(const MB_Error* error) {
  return error == nullptr ? static_cast<int32_t>(MB_OK) : error->code;
}

const char* ErrorMessage(const MB_Error* error) {
  return error == nullptr ? "" : error->message.c_str();
}

void ErrorDestroy(MB_Error* error) {
  if (error != kOutOfMemory) delete error;
}

MB_Error* OutOfMemoryError() noexcept { return kOutOfMemory; }

MB_Error* MakeError(const absl::Status& status) noexcept {
  if (status.ok()) return nullptr;
  try {
    return new MB_Error{static_cast<int32_t>(status.code()),
                        std::string(status.message())};
  } catch (...) {
    return kOutOfMemory;
  }
}

MB_Error* ExceptionError(const char* call, const char* what) noexcept {
  try {
    return new MB_Error{
        MB_INTERNAL,
        what == nullptr
            ? absl::StrCat(call,
                           ": the backend threw an exception of no "
                           "standard type")
            : absl::StrCat(call, ": the backend threw an exception: ", what)};
  } catch (...) {
    return kOutOfMemory;
  }
}

}  // namespace modelbatch
