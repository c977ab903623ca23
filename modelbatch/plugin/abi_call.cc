#include "modelbatch/plugin/abi_call.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace modelbatch {

absl::Status TakeError(const MB_PluginApi& api, MB_Error* error) {
  if (error == nullptr) return absl::OkStatus();
  const int32_t code = api.error_code(error);
  const char* const text = api.error_message(error);
  const std::string message =
      text == nullptr
          ? absl::StrCat("plugin \"", api.name,
                         "\" reports an error without a message (code ", code,
                         ")")
          : std::string(text);
  api.error_destroy(error);
  if (code == MB_OK) {
    return absl::InternalError(absl::StrCat(
        "plugin \"", api.name, "\" reports an error with code 0: ", message));
  }
  if (code < 0 || code > MB_UNAUTHENTICATED) {
    return absl::UnknownError(absl::StrCat("plugin \"", api.name,
                                           "\" reports an error with code ",
                                           code, ": ", message));
  }
  return absl::Status(static_cast<absl::StatusCode>(code), message);
}

absl::Status BrokenAbi(const MB_PluginApi& api, const char* call,
                       const char* what) {
  return absl::InternalError(absl::StrCat(
      "plugin \"", api.name, "\" breaks the plugin ABI in ", call, ": ", what));
}

}  // namespace modelbatch
