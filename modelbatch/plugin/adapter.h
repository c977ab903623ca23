// A plugin's table as a C++ Backend. Programs use modelbatch/plugin/plugin.h.
#ifndef MODELBATCH_PLUGIN_ADAPTER_H_
#define MODELBATCH_PLUGIN_ADAPTER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch {

// `api` must be a checked table (loader.h) that lives as long as the process.
absl::StatusOr<ProbeResult> ProbePlugin(const MB_PluginApi* api);

// Creates a backend and reads its capabilities. Errors of the plugin arrive
// with its code and message; what the plugin must not return is Internal, an
// optional call that it lacks Unimplemented.
//
// The result's sessions and datasets share the plugin's backend: they may
// outlive it. A training step allocates nothing once the first one has sized
// the buffers.
absl::StatusOr<std::unique_ptr<Backend>> CreatePluginBackend(
    const MB_PluginApi* api, const Attributes& options);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_ADAPTER_H_
