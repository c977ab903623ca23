#include "modelbatch/cli/open_backend.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/cli/child_probe.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/plugin/choose_backend.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/plugin/plugin_report.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

Attributes BackendOptions(const BackendConfig& config) {
  Attributes options = config.options;
  if (config.threads > 0) options["threads"] = config.threads;
  return options;
}

absl::StatusOr<BackendChoice> ChooseFor(const Experiment& experiment) {
  MB_ASSIGN_OR_RETURN(const std::vector<FoundPlugin> found, FindAllPlugins());
  std::vector<PluginReport> reports;
  for (const FoundPlugin& plugin : found) {
    reports.push_back(ProbeInChild(plugin.path, plugin.name, kProbeSeconds));
  }
  return ChooseBackend(
      std::move(reports), BackendOptions(experiment.config.backend),
      [&experiment](const PluginReport& report) {
        return CheckCapabilities(experiment, report.capabilities, report.name);
      });
}

absl::StatusOr<BackendChoice> OpenNamed(const BackendConfig& config) {
  BackendChoice opened;
  MB_ASSIGN_OR_RETURN(opened.plugin, OpenPlugin(config.name));
  MB_ASSIGN_OR_RETURN(const ProbeResult probe, opened.plugin->Probe());
  if (probe.score <= 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("backend \"", opened.plugin->name(),
                     "\" cannot run on this machine: ", probe.reason));
  }
  MB_ASSIGN_OR_RETURN(opened.backend,
                      opened.plugin->CreateBackend(BackendOptions(config)));
  return opened;
}

}  // namespace

absl::StatusOr<OpenedBackend> OpenBackend(const Experiment& experiment) {
  const ExperimentConfig& config = experiment.config;
  const auto at = [&config](const absl::Status& status) {
    return config.source.Error("backend", std::string(status.message()),
                               status.code());
  };
  absl::StatusOr<BackendChoice> choice = config.backend.name == kAutoBackend
                                             ? ChooseFor(experiment)
                                             : OpenNamed(config.backend);
  if (!choice.ok()) return at(choice.status());
  const absl::StatusOr<ProbeResult> probe = choice->plugin->Probe();
  if (!probe.ok()) return at(probe.status());
  OpenedBackend opened;
  opened.backend = std::move(choice->backend);
  opened.choice = std::move(choice->reason);
  opened.info = RunInfo::OfThisMachine();
  opened.info.backend = choice->plugin->name();
  opened.info.backend_version = choice->plugin->version();
  opened.info.backend_build_id = choice->plugin->build_id();
  opened.info.backend_path = choice->plugin->path();
  opened.info.device = probe->device;
  return opened;
}

}  // namespace modelbatch
