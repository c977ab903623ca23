// Exports a C++ Backend as a plugin. A whole plugin.cc:
//
//   #include "modelbatch/plugin/sdk.h"
//
//   modelbatch::ProbeResult Probe() { return {10, "2 threads", "always runs"};
//   }
//
//   absl::StatusOr<std::unique_ptr<modelbatch::Backend>> Create(
//       const modelbatch::Attributes& options) {
//     return std::make_unique<MyBackend>(options);
//   }
//
//   MODELBATCH_PLUGIN("mine", "1.0.0", Probe, Create)
//
// and modelbatch_plugin(name = "mine", ...) of //plugins:plugin.bzl in its
// BUILD file makes libmodelbatch_mine.so. docs/plugin-abi.md is the guide.
//
// What the SDK does, so that a Backend need not:
//  - checks what arrives (headers, null pointers, types, offsets of rows) and
//    answers InvalidArgument that names the field and the model. It does not
//    check row indices, labels, shapes, operators, options or columns: these
//    are the backend's to check;
//  - catches every exception: std::bad_alloc and std::length_error become
//    ResourceExhausted, any other Internal with what();
//  - takes the tensors of a dataset, copies them only when they are not compact
//    and row-major, and lets go of them with the last Tensor that shares them;
//  - reports the GNU build id of the shared library and the sanitizer it was
//    built with;
//  - sends what the plugin logs (modelbatch/util/logging.h) to the host;
//  - allocates nothing in a training step once the first one has sized its
//    buffers.
//
// The state behind these calls is the shared library's own: link the SDK
// statically into one plugin and export nothing but MB_GetPluginApi.
#ifndef MODELBATCH_PLUGIN_SDK_H_
#define MODELBATCH_PLUGIN_SDK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch {

// Strings and functions must live as long as the process. Both functions may be
// called from any thread, at any time, also at once.
struct PluginDefinition {
  // What a config says: "cpu". Lower-case letters, digits, '_' and '-', as in
  // the file's name, libmodelbatch_<name>.so.
  const char* name;
  // Of the plugin: "0.1.0".
  const char* version;
  // What this machine offers. It should be quick, and must not fail: a missing
  // driver or device is a score of 0 with the reason.
  ProbeResult (*probe)();
  // Refuse unknown options with InvalidArgument that names them. Where `probe`
  // gives 0, answer Unavailable or FailedPrecondition with the reason.
  absl::StatusOr<std::unique_ptr<Backend>> (*create)(const Attributes& options);
};

// The table that MB_GetPluginApi returns; what MODELBATCH_PLUGIN calls. A
// library has one definition: later calls return the first one's table.
const MB_PluginApi* ExportPlugin(const PluginDefinition& definition,
                                 const MB_HostApi* host);

// Where the host loaded this plugin from, to find files that lie beside it.
// Empty until MB_GetPluginApi was called.
std::string PluginPath();

}  // namespace modelbatch

// Defines the library's one exported symbol.
#define MODELBATCH_PLUGIN(plugin_name, plugin_version, probe, create)   \
  extern "C" __attribute__((visibility("default"))) const MB_PluginApi* \
  MB_GetPluginApi(const MB_HostApi* host) {                             \
    static constexpr ::modelbatch::PluginDefinition kDefinition = {     \
        plugin_name, plugin_version, probe, create};                    \
    return ::modelbatch::ExportPlugin(kDefinition, host);               \
  }

#endif  // MODELBATCH_PLUGIN_SDK_H_
