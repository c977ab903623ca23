#include <iostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/child_probe.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/plugin/plugin_report.h"
#include "modelbatch/plugin/search.h"

namespace modelbatch {
namespace {

void Line(const char* key, const std::string& value) {
  if (value.empty()) return;
  std::cout << "  " << key << std::string(14 - std::string(key).size(), ' ')
            << value << "\n";
}

void Print(const PluginReport& report) {
  std::cout << Styled(report.name.empty() ? report.path : report.name, "1",
                      Terminal::Of(1).colors)
            << "\n";
  Line("path", report.path);
  Line("version", report.version);
  Line("abi", report.abi);
  Line("build", report.build_id);
  Line("sanitizer", report.sanitizer);
  Line("device", report.probe.device);
  if (report.probe.score > 0) {
    Line("score", absl::StrCat(report.probe.score, ": ", report.probe.reason));
  }
  const Capabilities& has = report.capabilities;
  Line("operators", absl::StrJoin(has.operators, ", "));
  Line("losses", absl::StrJoin(has.losses, ", "));
  Line("optimizers", absl::StrJoin(has.optimizers, ", "));
  Line("precisions", absl::StrJoin(has.precisions, ", "));
  Line("features", absl::StrJoin(has.features, ", "));
  if (!report.can_run()) Line("cannot run", report.obstacle());
  std::cout << std::flush;
}

}  // namespace

int RunBackends(const BackendsCommand& command) {
  if (!command.probe.empty()) {
    const PluginReport report =
        ProbeInChild(command.probe, "", command.timeout);
    Print(report);
    return report.status.ok() ? kExitOk : kExitFailure;
  }
  const absl::StatusOr<std::vector<FoundPlugin>> plugins = FindAllPlugins();
  if (!plugins.ok()) return ReportError(plugins.status());
  for (const FoundPlugin& found : *plugins) {
    Print(ProbeInChild(found.path, found.name, command.timeout));
  }
  return kExitOk;
}

}  // namespace modelbatch
