#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/cli/choose_models.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/export_weights.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/trained_run.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status Export(const ExportCommand& command) {
  MB_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Open(command.run));
  MB_ASSIGN_OR_RETURN(ExperimentConfig config, LoadExperiment(folder.config()));
  MB_ASSIGN_OR_RETURN(const TrainedRun run,
                      LoadTrainedRun(folder, std::move(config)));
  MB_ASSIGN_OR_RETURN(
      const std::vector<int> models,
      ChooseModels(command.choice, run.experiment, run.state, run.usable));
  MB_RETURN_IF_ERROR(ExportWeights(run, models,
                                   command.format == "pt"
                                       ? WeightFormat::kPyTorch
                                       : WeightFormat::kSafetensors,
                                   command.output));
  std::cout << models.size() << (models.size() == 1 ? " model" : " models")
            << " in " << command.output << ": model_<id>." << command.format
            << std::endl;
  return absl::OkStatus();
}

}  // namespace

int RunExport(const ExportCommand& command) {
  const absl::Status status = Export(command);
  return status.ok() ? kExitOk : ReportError(status);
}

}  // namespace modelbatch
