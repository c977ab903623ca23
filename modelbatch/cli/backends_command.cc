#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/plugin/loader.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

void Line(const char* key, const std::string& value) {
  std::cout << "  " << key << std::string(14 - std::string(key).size(), ' ')
            << value << "\n";
}

absl::Status Describe(const FoundPlugin& found) {
  MB_ASSIGN_OR_RETURN(const std::shared_ptr<Plugin> plugin,
                      LoadPlugin(found.path));
  Line("version", plugin->version());
  Line("build", plugin->build_id());
  if (!plugin->sanitizer().empty()) Line("sanitizer", plugin->sanitizer());
  MB_ASSIGN_OR_RETURN(const ProbeResult probe, plugin->Probe());
  if (probe.score <= 0) return absl::UnavailableError(probe.reason);
  Line("device", probe.device);
  Line("score", absl::StrCat(probe.score, ": ", probe.reason));
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      plugin->CreateBackend());
  const Capabilities has = backend->capabilities();
  Line("operators", absl::StrJoin(has.operators, ", "));
  Line("losses", absl::StrJoin(has.losses, ", "));
  Line("optimizers", absl::StrJoin(has.optimizers, ", "));
  Line("precisions", absl::StrJoin(has.precisions, ", "));
  Line("features", absl::StrJoin(has.features, ", "));
  return absl::OkStatus();
}

}  // namespace

int RunBackends() {
  const bool colors = Terminal::Of(1).colors;
  const std::vector<FoundPlugin> plugins = ListPlugins();
  for (const FoundPlugin& found : plugins) {
    std::cout << Styled(found.name, "1", colors) << "\n";
    Line("path", found.path);
    if (absl::Status status = Describe(found); !status.ok()) {
      Line("cannot run", std::string(status.message()));
    }
  }
  if (!plugins.empty()) return kExitOk;
  std::cout << "No backend found. Looked in:\n  "
            << absl::StrJoin(PluginFolders(), "\n  ")
            << "\nName further folders in MODELBATCH_PLUGIN_PATH.\n";
  return kExitFailure;
}

}  // namespace modelbatch
