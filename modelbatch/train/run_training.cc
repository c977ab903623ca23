#include "modelbatch/train/run_training.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/file_lock.h"
#include "modelbatch/train/check_resumes.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/confusion.h"
#include "modelbatch/train/host_memory.h"
#include "modelbatch/train/log_metrics.h"
#include "modelbatch/train/run_files.h"
#include "modelbatch/train/run_loop.h"
#include "modelbatch/train/run_waves.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// What a population that does not fit can do.
absl::Status WithAdvice(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  return absl::ResourceExhaustedError(absl::StrCat(
      std::string(status.message()),
      "; train.models_at_once = \"auto\" trains as many at a time as fit"));
}

// All models in one batch.
class Run {
 public:
  Run(const Experiment& experiment, const RunFolder& folder,
      const RunOptions& options, TrainObserver* observer)
      : experiment_(experiment),
        folder_(folder),
        options_(options),
        observer_(observer) {}

  absl::StatusOr<RunResult> Go(Backend* backend) {
    result_.times.started = TimeNow();
    MB_ASSIGN_OR_RETURN(const std::shared_ptr<FileLock> lock, folder_.Lock());
    if (const absl::Status status = CheckCallback(); !status.ok()) {
      if (!options_.resume) folder_.Discard();
      return status;
    }
    absl::StatusOr<std::unique_ptr<Trainer>> trainer = WithinHostMemory(
        [&] { return Trainer::Create(&experiment_, backend); });
    if (!trainer.ok()) {
      // The folder is free for another attempt.
      if (!options_.resume) folder_.Discard();
      return WithAdvice(trainer.status());
    }
    trainer_ = *std::move(trainer);
    backend_ = backend;
    if (options_.resume) {
      MB_RETURN_IF_ERROR(Resume());
    } else if (const absl::Status status = OpenLog(); !status.ok()) {
      folder_.Discard();
      return status;
    }
    if (options_.callback != nullptr) trainer_->AddCallback(options_.callback);
    if (observer_ != nullptr) observer_->OnStart(*trainer_);
    const absl::Time start = absl::Now();
    const int64_t first_step = trainer_->state().step;
    const absl::StatusOr<bool> interrupted = WithinHostMemory([&] {
      return RunLoop(&folder_, &options_, observer_, &result_.times)
          .Train(trainer_.get(), folder_.checkpoint(), events_written_,
                 log_.get());
    });
    if (!interrupted.ok()) return Failed(interrupted.status(), first_step);
    result_.interrupted = *interrupted;
    result_.times.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    result_.times.finished = TimeNow();
    MB_RETURN_IF_ERROR(WriteResults());
    result_.state = WithoutWeights(trainer_->state());
    result_.models_ended = result_.interrupted ? 0 : trainer_->num_models();
    result_.population = trainer_->experiment().population;
    return std::move(result_);
  }

 private:
  absl::Status CheckCallback() const {
    if (options_.callback == nullptr) return absl::OkStatus();
    return Trainer::CheckStepsAtOnce(experiment_.config, *options_.callback);
  }

  // The first step asks for memory that compiling the models did not.
  absl::Status Failed(const absl::Status& status, int64_t first_step) {
    if (!absl::IsResourceExhausted(status) ||
        trainer_->state().step > first_step) {
      return status;
    }
    if (!options_.resume) {
      log_->Discard();
      folder_.Discard();
    }
    return WithAdvice(status);
  }

  absl::Status Resume() {
    result_.times.resumed = true;
    folder_.RemoveTemporaries();
    if (!folder_.HasWholeCheckpoint()) return TakeUp({}, "resumed");
    MB_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                        ReadCheckpoint(folder_.checkpoint()));
    MB_ASSIGN_OR_RETURN(const std::string differences,
                        CheckResumes(checkpoint, experiment_, options_));
    const absl::Status restored =
        trainer_->Restore(std::move(checkpoint.state), checkpoint.models);
    if (!restored.ok()) return WithAdvice(restored);
    std::string event = "resumed";
    if (!differences.empty()) {
      absl::StrAppend(&event, ", forced: ", differences);
    }
    return TakeUp(trainer_->state().events, event);
  }

  // Brings the folder to where the trainer is, with the config as it is now.
  // Not before the run is known to continue: a refusal changes nothing.
  absl::Status TakeUp(const std::vector<Event>& events,
                      const std::string& event) {
    const TrainState& state = trainer_->state();
    MB_RETURN_IF_ERROR(OpenLog());
    MB_RETURN_IF_ERROR(folder_.WriteConfig(experiment_.config));
    MB_RETURN_IF_ERROR(folder_.RestoreEvents(state.step, events));
    events_written_ = events.size();
    return folder_.AddEvent(state.step, state.epoch + 1, event);
  }

  // Before the program's callback, which may replace models.
  absl::Status OpenLog() {
    std::optional<int64_t> resume_step;
    if (options_.resume) resume_step = trainer_->state().step;
    MB_ASSIGN_OR_RETURN(log_,
                        LogMetrics::Open(experiment_, folder_, resume_step));
    trainer_->AddCallback(log_.get());
    return absl::OkStatus();
  }

  absl::Status WriteResults() {
    const TrainState& state = trainer_->state();
    const Experiment& experiment = trainer_->experiment();
    // A backend need not tell.
    absl::StatusOr<SessionStats> stats = trainer_->batch().session().Stats();
    if (stats.ok()) result_.stats = *std::move(stats);
    MB_RETURN_IF_ERROR(WriteRunFiles(folder_, experiment, state, options_.info,
                                     result_.stats, result_.times));
    if (!experiment.config.train.log.confusion) return absl::OkStatus();
    // Last: it compiles the models once more, for which memory may lack.
    MB_ASSIGN_OR_RETURN(
        const std::string confusion,
        ConfusionCsv(experiment, state, trainer_->dataset(), backend_));
    return WriteFileAtomically(folder_.confusion(), confusion);
  }

  const Experiment& experiment_;
  const RunFolder& folder_;
  const RunOptions& options_;
  TrainObserver* observer_;
  Backend* backend_ = nullptr;
  std::unique_ptr<LogMetrics> log_;
  std::unique_ptr<Trainer> trainer_;
  size_t events_written_ = 0;  // to events.jsonl
  RunResult result_;
};

}  // namespace

absl::StatusOr<RunResult> RunTraining(const Experiment& experiment,
                                      Backend* backend, const RunFolder& folder,
                                      const RunOptions& options,
                                      TrainObserver* observer) {
  MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder.Waves());
  const auto run = [&]() -> absl::StatusOr<RunResult> {
    if (experiment.config.train.models_at_once != kAllModels ||
        !waves.empty()) {
      return RunWaves(experiment, backend, folder, options, observer);
    }
    return Run(experiment, folder, options, observer).Go(backend);
  };
  return WithinHostMemory(run);
}

}  // namespace modelbatch
