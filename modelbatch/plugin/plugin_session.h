// A plugin's session as a C++ Session: the host's side of every step.
#ifndef MODELBATCH_PLUGIN_PLUGIN_SESSION_H_
#define MODELBATCH_PLUGIN_PLUGIN_SESSION_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/plugin_handle.h"

namespace modelbatch {

// Takes `session`, which `handle`'s backend compiled from `models`. Internal
// when the plugin tells that it has other parameters or outputs than they have.
absl::StatusOr<std::unique_ptr<Session>> MakePluginSession(
    std::shared_ptr<PluginHandle> handle, MB_Session* session,
    const std::vector<ModelInstance>& models);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PLUGIN_SESSION_H_
