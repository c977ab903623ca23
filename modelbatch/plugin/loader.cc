#include "modelbatch/plugin/loader.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/adapter.h"
#include "modelbatch/plugin/build_id.h"
#include "modelbatch/plugin/check_api.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"
#include "modelbatch/util/version.h"

namespace modelbatch {
namespace {

// What one plugin is told about the host, which may keep the pointer.
struct HostRecord {
  explicit HostRecord(std::string plugin_path) : path(std::move(plugin_path)) {
    api.header = MakeHeader(MB_SIZE(MB_HostApi, log));
    api.host_version = kVersion;
    api.plugin_path = path.c_str();
    api.log = [](void*, int32_t severity, const char* message) {
      if (message == nullptr) return;
      const auto known =
          std::clamp<int32_t>(severity, MB_LOG_INFO, MB_LOG_ERROR);
      try {
        Log(static_cast<LogSeverity>(known), message);
      } catch (...) {  // Nothing may cross; a message is all that is lost.
      }
    };
  }

  const std::string path;
  MB_HostApi api = {};
};

// Never destroyed, as the plugins are never unloaded: some libraries below them
// (drivers, OpenMP) do not survive that.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Plugin>> plugins;  // by real path
  std::vector<std::unique_ptr<HostRecord>> hosts;
};

Registry& GlobalRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(),
                      absl::StrCat("plugin '", path, "': ", status.message()));
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  char* const resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) {
    const int error = errno;
    const std::string reason = std::strerror(error);
    if (error == EACCES) return absl::PermissionDeniedError(reason);
    return absl::NotFoundError(reason);
  }
  std::string result = resolved;
  std::free(resolved);
  return result;
}

// What dlopen would say less clearly.
absl::Status CheckFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError("not a file, expected a shared library");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::PermissionDeniedError("cannot be read");
  char magic[4] = {};
  file.read(magic, sizeof(magic));
  if (std::memcmp(magic, "\177ELF", sizeof(magic)) != 0) {
    return absl::InvalidArgumentError(
        "not a shared library: it does not begin as an ELF file");
  }
  return absl::OkStatus();
}

absl::StatusOr<const MB_PluginApi*> Open(const std::string& path,
                                         Registry* registry) {
  MB_RETURN_IF_ERROR(CheckFile(path));
  // Never closed, also not when a check below fails.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot be loaded: ", reason == nullptr ? "no reason given" : reason));
  }
  const auto get_api = reinterpret_cast<MB_GetPluginApiFunction>(
      dlsym(library, MB_GET_PLUGIN_API_SYMBOL));
  if (get_api == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a ModelBatch plugin: it does not export ",
                     MB_GET_PLUGIN_API_SYMBOL));
  }
  const MB_PluginApi* api = nullptr;
  try {
    registry->hosts.push_back(std::make_unique<HostRecord>(path));
    api = get_api(&registry->hosts.back()->api);
  } catch (...) {
    return absl::InternalError(
        absl::StrCat(MB_GET_PLUGIN_API_SYMBOL, " threw a C++ exception"));
  }
  MB_RETURN_IF_ERROR(CheckPluginApi(api));
  return api;
}

}  // namespace

Plugin::Plugin(const MB_PluginApi* api, std::string path)
    : api_(api),
      path_(std::move(path)),
      name_(api->name),
      version_(api->version),
      build_id_(api->build_id),
      abi_(absl::StrCat(api->header.abi_major, ".", api->header.abi_minor)),
      sanitizer_(api->sanitizer) {}

absl::StatusOr<ProbeResult> Plugin::Probe() const { return ProbePlugin(api_); }

absl::StatusOr<std::unique_ptr<Backend>> Plugin::CreateBackend(
    const Attributes& options) const {
  return CreatePluginBackend(api_, options);
}

namespace {

absl::StatusOr<std::shared_ptr<Plugin>> LoadFile(const std::string& path) {
  const absl::StatusOr<std::string> real = RealPath(path);
  if (!real.ok()) return WithPath(real.status(), path);

  std::shared_ptr<Plugin> plugin;
  {
    Registry& registry = GlobalRegistry();
    const std::lock_guard<std::mutex> lock(registry.mutex);
    std::shared_ptr<Plugin>& entry = registry.plugins[*real];
    if (entry != nullptr) return entry;
    const absl::StatusOr<const MB_PluginApi*> api = Open(*real, &registry);
    if (!api.ok()) return WithPath(api.status(), *real);
    entry = std::make_shared<Plugin>(*api, *real);
    plugin = entry;
  }
  // Without the lock: a sink may load plugins itself.
  Log(LogSeverity::kInfo,
      absl::StrCat("loaded plugin \"", plugin->name(), "\" ", plugin->version(),
                   " (build ", plugin->build_id(), ") from ", plugin->path()));
  if (plugin->sanitizer() != SanitizerName()) {
    Log(LogSeverity::kWarning,
        absl::StrCat("plugin \"", plugin->name(), "\" has sanitizer \"",
                     plugin->sanitizer(), "\" and this program \"",
                     SanitizerName(), "\": its reports cannot be relied upon"));
  }
  return plugin;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Plugin>> LoadPlugin(const std::string& path,
                                                   const std::string& name) {
  MB_ASSIGN_OR_RETURN(std::shared_ptr<Plugin> plugin, LoadFile(path));
  if (!name.empty() && plugin->name() != name) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin '", path, "' is the backend \"", plugin->name(),
                     "\", expected \"", name, "\" from its file name"));
  }
  return plugin;
}

}  // namespace modelbatch
