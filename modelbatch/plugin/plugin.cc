#include "modelbatch/plugin/plugin.h"

#include <utility>
#include <vector>

#include "modelbatch/plugin/choose_backend.h"
#include "modelbatch/plugin/plugin_report.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

namespace {

absl::StatusOr<BackendChoice> Choose(const Attributes& options) {
  MB_ASSIGN_OR_RETURN(std::vector<PluginReport> reports, DescribeAllPlugins());
  return ChooseBackend(std::move(reports), options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<Plugin>> OpenPlugin(
    const std::string& name_or_path) {
  if (name_or_path == kAutoBackend) {
    MB_ASSIGN_OR_RETURN(BackendChoice choice, Choose({}));
    return std::move(choice.plugin);
  }
  if (name_or_path.find('/') != std::string::npos) {
    return LoadPlugin(name_or_path);
  }
  MB_ASSIGN_OR_RETURN(const std::string path, FindPlugin(name_or_path));
  return LoadPlugin(path, name_or_path);
}

absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
    const std::string& name_or_path, const Attributes& options) {
  if (name_or_path == kAutoBackend) {
    MB_ASSIGN_OR_RETURN(BackendChoice choice, Choose(options));
    return std::move(choice.backend);
  }
  MB_ASSIGN_OR_RETURN(const std::shared_ptr<Plugin> plugin,
                      OpenPlugin(name_or_path));
  return plugin->CreateBackend(options);
}

}  // namespace modelbatch
