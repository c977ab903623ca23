// Calls into a plugin's table from the host's side.
#ifndef MODELBATCH_PLUGIN_ABI_CALL_H_
#define MODELBATCH_PLUGIN_ABI_CALL_H_

#include "absl/status/status.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// The error as a Status, with the plugin's code and message; destroys it. NULL
// is OK. A code that is no absl::StatusCode becomes Unknown, and 0 Internal.
absl::Status TakeError(const MB_PluginApi& api, MB_Error* error);

// Internal: the plugin `api` broke the ABI in `call`.
absl::Status BrokenAbi(const MB_PluginApi& api, const char* call,
                       const char* what);

// Calls `function`, which is api.<name>.
template <typename Args>
absl::Status CallPlugin(const MB_PluginApi& api,
                        MB_Error* (*function)(Args* args), const char* name,
                        Args* args) {
  MB_Error* error = nullptr;
  try {
    error = function(args);
  } catch (...) {  // A plugin must not, but it is not a reason to die.
    return BrokenAbi(api, name, "it threw a C++ exception");
  }
  // Most calls succeed: nothing is made of them.
  if (error == nullptr) return absl::OkStatus();
  return TakeError(api, error);
}

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_ABI_CALL_H_
