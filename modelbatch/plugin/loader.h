// Loads backends from shared libraries.
//
//   auto plugin = LoadPlugin("/opt/mine/libmodelbatch_mine.so");
//   if (!plugin.ok()) return plugin.status();
//   auto backend = (*plugin)->CreateBackend({{"threads", int64_t{2}}});
//
// To load by a backend's name: modelbatch/plugin/plugin.h. Thread-safe.
#ifndef MODELBATCH_PLUGIN_LOADER_H_
#define MODELBATCH_PLUGIN_LOADER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch {

// A loaded plugin. Once loaded it stays so until the process ends.
class Plugin {
 public:
  // `api` must be a checked table that lives as long as the process.
  Plugin(const MB_PluginApi* api, std::string path);
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const std::string& name() const { return name_; }        // "cpu"
  const std::string& version() const { return version_; }  // of the plugin
  // Changes with every build that may change a bit.
  const std::string& build_id() const { return build_id_; }
  // Of the plugin ABI that it was built with: "1.0".
  const std::string& abi() const { return abi_; }
  // "", "address", "thread", ...
  const std::string& sanitizer() const { return sanitizer_; }
  // Of the file, without symbolic links.
  const std::string& path() const { return path_; }

  // What this machine offers the plugin.
  absl::StatusOr<ProbeResult> Probe() const;

  // The plugin's own error for options it does not know, or for a machine it
  // cannot run on. The backend may outlive this object.
  absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
      const Attributes& options = {}) const;

 private:
  const MB_PluginApi* const api_;
  const std::string path_;
  const std::string name_;
  const std::string version_;
  const std::string build_id_;
  const std::string abi_;
  const std::string sanitizer_;
};

// Loads the shared library at `path`, or returns the plugin that was loaded
// from the same file before. With a `name`, the plugin must be called so.
// Errors name the file and what was expected:
//   NotFound            there is no such file
//   PermissionDenied    it cannot be read
//   InvalidArgument     it is no shared library, or none of ours
//   FailedPrecondition  the system cannot load it (a library it needs is not
//                       there), it has another major version of the ABI,
//                       or another name
//   Internal            it breaks the ABI: a short struct, a call missing, ...
absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(
    const std::string& path, const std::string& name = "");

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_LOADER_H_
