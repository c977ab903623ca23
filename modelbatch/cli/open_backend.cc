#include "modelbatch/cli/open_backend.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/plugin.h"

namespace modelbatch {

absl::StatusOr<OpenedBackend> OpenBackend(const ExperimentConfig& config) {
  const auto at = [&config](const absl::Status& status) {
    return config.source.Error("backend", std::string(status.message()),
                               status.code());
  };
  const auto plugin = OpenPlugin(config.backend.name);
  if (!plugin.ok()) return at(plugin.status());
  const absl::StatusOr<ProbeResult> probe = (*plugin)->Probe();
  if (!probe.ok()) return at(probe.status());
  if (probe->score <= 0) {
    return at(absl::FailedPreconditionError(
        absl::StrCat("backend \"", (*plugin)->name(),
                     "\" cannot run on this machine: ", probe->reason)));
  }
  Attributes options = config.backend.options;
  if (config.backend.threads > 0) options["threads"] = config.backend.threads;
  absl::StatusOr<std::unique_ptr<Backend>> backend =
      (*plugin)->CreateBackend(options);
  if (!backend.ok()) return at(backend.status());
  OpenedBackend opened;
  opened.backend = *std::move(backend);
  opened.info = RunInfo::OfThisMachine();
  opened.info.backend = (*plugin)->name();
  opened.info.backend_version = (*plugin)->version();
  opened.info.backend_build_id = (*plugin)->build_id();
  opened.info.backend_path = (*plugin)->path();
  opened.info.device = probe->device;
  return opened;
}

}  // namespace modelbatch
