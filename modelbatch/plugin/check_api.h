// Whether a table that a plugin returned can be used.
#ifndef MODELBATCH_PLUGIN_CHECK_API_H_
#define MODELBATCH_PLUGIN_CHECK_API_H_

#include "absl/status/status.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// FailedPrecondition for another major version of the ABI; Internal for NULL, a
// struct shorter than its first version, a name, version or build id that is
// missing or malformed, or a required function that is NULL. The message says
// what was expected.
absl::Status CheckPluginApi(const MB_PluginApi* api);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_CHECK_API_H_
