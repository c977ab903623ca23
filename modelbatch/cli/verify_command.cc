#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/backend/features.h"
#include "modelbatch/cli/choose_models.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/describe.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/open_backend.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/plugin/choose_backend.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_checkpoint.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/train/verify.h"
#include "modelbatch/train/verify_tolerance.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// While a run is trained in waves, what is compared with is that of the model's
// own.
absl::StatusOr<VerifyReport> VerifyBits(const RunFolder& folder,
                                        const Experiment& experiment,
                                        const Checkpoint& checkpoint,
                                        int64_t id, Backend* backend) {
  MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder.Waves());
  if (waves.empty()) return VerifyModel(experiment, checkpoint, id, backend);
  MB_ASSIGN_OR_RETURN(const CheckpointOfModel own,
                      ReadCheckpointOfModel(folder, experiment, id));
  return VerifyModel(own.experiment, own.checkpoint, id, backend);
}

absl::StatusOr<int> Verify(const VerifyCommand& command) {
  MB_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Open(command.run));
  if (!folder.HasCheckpoint()) {
    return absl::NotFoundError(absl::StrCat(
        command.run, " has no checkpoint yet: nothing to compare with"));
  }
  MB_ASSIGN_OR_RETURN(ExperimentConfig config, LoadExperiment(folder.config()));
  if (!command.backend.empty() && command.backend != kAutoBackend) {
    config.backend.name = command.backend;
    config.source.RecordOption("backend", "--backend " + command.backend);
    config.backend.compile.reset();  // of the run's own; changes no bit
  }
  if (command.threads >= 0) config.backend.threads = command.threads;
  MB_ASSIGN_OR_RETURN(const Experiment experiment,
                      PrepareExperiment(std::move(config)));
  MB_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                      ReadRunCheckpoint(folder, experiment.config));
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  // To name the models; each is trained from `experiment`.
  Experiment now = experiment;
  MB_ASSIGN_OR_RETURN(now.population, PopulationAfter(checkpoint.state.events,
                                                      experiment.population));
  // Also those without a best epoch, which cannot predict.
  MB_ASSIGN_OR_RETURN(const std::vector<int> models,
                      ChooseModels(command.choice, now, checkpoint.state,
                                   Ranking(now, checkpoint.state)));
  MB_ASSIGN_OR_RETURN(const OpenedBackend opened, OpenBackend(experiment));
  for (const std::string& difference :
       Differences(checkpoint.info, opened.info)) {
    std::cerr << "note: " << difference << "\n";
  }
  // Without that promise, the first steps of the population to compare with.
  std::unique_ptr<Trainer> batch;
  if (!HasFeature(*opened.backend, "bitwise_independence")) {
    MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder.Waves());
    if (!waves.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          command.run,
          " is trained in waves that have not all ended, and "
          "backend \"",
          opened.info.backend,
          "\" does not promise equal bits: verify it when it has ended"));
    }
    const int64_t steps = std::min(kToleranceSteps, checkpoint.state.step);
    std::cerr << "note: backend \"" << opened.info.backend
              << "\" does not promise equal bits: the first " << steps
              << " steps are repeated and compared within a tolerance\n";
    MB_ASSIGN_OR_RETURN(
        batch, TrainFirstSteps(experiment, steps, opened.backend.get()));
  }
  const bool colors = Terminal::Of(1).colors;
  int differing = 0;
  for (const int model : models) {
    const int64_t id = now.population.models[model].id;
    if (batch != nullptr && !IndexOfModel(experiment, id).ok()) {
      return absl::UnimplementedError(
          absl::StrCat("model ", id,
                       " is a copy of another: within a tolerance only models "
                       "that were there from the beginning are compared"));
    }
    MB_ASSIGN_OR_RETURN(const VerifyReport report,
                        batch == nullptr
                            ? VerifyBits(folder, experiment, checkpoint, id,
                                         opened.backend.get())
                            : VerifyWithinTolerance(experiment, id, batch.get(),
                                                    opened.backend.get()));
    if (!report.passed) ++differing;
    std::cout << DescribeModel(now, model) << ", trained alone: "
              << Styled(report.text, report.passed ? "32" : "1;31", colors)
              << std::endl;
  }
  if (models.size() > 1) {
    std::cout << models.size() - differing << " of " << models.size()
              << " models are equal "
              << (batch == nullptr ? "bit for bit" : "within tolerance")
              << " to themselves trained alone" << std::endl;
  }
  return differing == 0 ? kExitOk : kExitFailure;
}

}  // namespace

int RunVerify(const VerifyCommand& command) {
  const absl::StatusOr<int> code = Verify(command);
  return code.ok() ? *code : ReportError(code.status());
}

}  // namespace modelbatch
