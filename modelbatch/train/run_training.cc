#include "modelbatch/train/run_training.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/file_lock.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/confusion.h"
#include "modelbatch/train/fold_summary.h"
#include "modelbatch/train/log_metrics.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

std::string Now() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(),
                          absl::UTCTimeZone());
}

class Run {
 public:
  Run(const Experiment& experiment, const RunFolder& folder,
      const RunOptions& options, TrainObserver* observer)
      : experiment_(experiment),
        folder_(folder),
        options_(options),
        observer_(observer) {}

  absl::StatusOr<RunResult> Go(Backend* backend) {
    result_.times.started = Now();
    MB_ASSIGN_OR_RETURN(const std::shared_ptr<FileLock> lock, folder_.Lock());
    absl::StatusOr<std::unique_ptr<Trainer>> trainer =
        Trainer::Create(&experiment_, backend);
    if (!trainer.ok()) {
      // The folder is free for another attempt.
      if (!options_.resume) folder_.Discard();
      return trainer.status();
    }
    trainer_ = *std::move(trainer);
    backend_ = backend;
    if (options_.resume) MB_RETURN_IF_ERROR(Resume());
    MB_RETURN_IF_ERROR(OpenLog());
    if (options_.callback != nullptr) trainer_->AddCallback(options_.callback);
    if (observer_ != nullptr) observer_->OnStart(*trainer_);
    const absl::Time start = absl::Now();
    MB_RETURN_IF_ERROR(Loop());
    result_.times.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    result_.times.finished = Now();
    MB_RETURN_IF_ERROR(WriteResults());
    result_.state = TakeState();
    result_.population = trainer_->experiment().population;
    return std::move(result_);
  }

 private:
  absl::Status Resume() {
    result_.times.resumed = true;
    folder_.RemoveTemporaries();
    if (!folder_.HasCheckpoint()) return folder_.RestoreEvents(-1, {});
    MB_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                        ReadCheckpoint(folder_.checkpoint()));
    MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment_));
    const std::vector<std::string> differences =
        Differences(checkpoint.info, options_.info);
    if (!differences.empty() && !options_.force) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the run would not end with the same bits: ",
          absl::StrJoin(differences, "; "), "; --force resumes nevertheless"));
    }
    if (experiment_.config.train.epochs < checkpoint.state.epoch) {
      return absl::InvalidArgumentError(absl::StrCat(
          "train.epochs is ", experiment_.config.train.epochs,
          ", the run has done ", checkpoint.state.epoch, " already"));
    }
    const int64_t step = checkpoint.state.step;
    const int64_t epoch = checkpoint.state.epoch;
    MB_RETURN_IF_ERROR(
        trainer_->Restore(std::move(checkpoint.state), checkpoint.models));
    // Not before the run is known to continue: a refusal changes nothing.
    MB_RETURN_IF_ERROR(folder_.WriteConfig(experiment_.config));
    MB_RETURN_IF_ERROR(folder_.RestoreEvents(step, trainer_->state().events));
    events_written_ = trainer_->state().events.size();
    std::string event = "resumed";
    if (!differences.empty()) {
      absl::StrAppend(&event, ", forced: ", absl::StrJoin(differences, "; "));
    }
    return folder_.AddEvent(step, epoch + 1, event);
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

  bool Stopping() const {
    return options_.stop != nullptr &&
           options_.stop->load(std::memory_order_relaxed);
  }

  absl::Status Loop() {
    const int64_t every = experiment_.config.train.checkpoint_every;
    int64_t saved_step = -1;
    while (!trainer_->finished()) {
      if (Stopping()) {
        result_.interrupted = true;
        break;
      }
      MB_RETURN_IF_ERROR(trainer_->Step());
      const StepReport& report = trainer_->last_step();
      const TrainState& state = trainer_->state();
      result_.times.model_rows += report.model_rows;
      MB_RETURN_IF_ERROR(WriteNewEvents());
      if (observer_ != nullptr) observer_->OnStep(*trainer_);
      if (every > 0 && report.epoch_finished && state.epoch % every == 0) {
        MB_RETURN_IF_ERROR(Save());
        saved_step = state.step;
      }
    }
    const TrainState& state = trainer_->state();
    if (saved_step != state.step) MB_RETURN_IF_ERROR(Save());
    if (!result_.interrupted) return absl::OkStatus();
    return folder_.AddEvent(state.step, state.epoch + 1, "interrupted");
  }

  absl::Status WriteNewEvents() {
    const std::vector<Event>& events = trainer_->state().events;
    for (; events_written_ < events.size(); ++events_written_) {
      MB_RETURN_IF_ERROR(folder_.AddEvent(events[events_written_]));
    }
    return absl::OkStatus();
  }

  absl::Status Save() {
    // A resumed run takes the log up where the checkpoint is.
    MB_RETURN_IF_ERROR(log_->Flush());
    MB_RETURN_IF_ERROR(
        WriteCheckpoint(folder_.checkpoint(), trainer_.get(), options_.info));
    if (observer_ != nullptr) {
      observer_->OnCheckpoint(*trainer_, folder_.checkpoint());
    }
    return absl::OkStatus();
  }

  absl::Status WriteResults() {
    const TrainState& state = trainer_->state();
    const Experiment& experiment = trainer_->experiment();
    // A backend need not tell.
    absl::StatusOr<SessionStats> stats = trainer_->batch().session().Stats();
    if (stats.ok()) result_.stats = *std::move(stats);
    MB_RETURN_IF_ERROR(
        WriteFileAtomically(folder_.results(), ResultsCsv(experiment, state)));
    MB_RETURN_IF_ERROR(
        WriteFileAtomically(folder_.curves(), CurvesCsv(experiment, state)));
    if (experiment.config.data.folds.has_value()) {
      MB_RETURN_IF_ERROR(
          WriteFileAtomically(folder_.folds(), FoldsCsv(experiment, state)));
    }
    MB_RETURN_IF_ERROR(WriteModels(experiment, state, folder_.path()));
    if (experiment.config.train.log.confusion) {
      MB_ASSIGN_OR_RETURN(
          const std::string confusion,
          ConfusionCsv(experiment, state, trainer_->dataset(), backend_));
      MB_RETURN_IF_ERROR(WriteFileAtomically(folder_.confusion(), confusion));
    }
    return WriteFileAtomically(folder_.summary(),
                               SummaryJson(experiment, state, options_.info,
                                           result_.stats, result_.times));
  }

  // The state without the weights, which are in the files now.
  TrainState TakeState() const {
    const TrainState& state = trainer_->state();
    TrainState out;
    out.epoch = state.epoch;
    out.step_in_epoch = state.step_in_epoch;
    out.step = state.step;
    out.curves = state.curves;
    out.events = state.events;
    for (const ModelRecord& record : state.models) {
      ModelRecord copy;
      copy.frozen_step = record.frozen_step;
      copy.frozen_by = record.frozen_by;
      copy.frozen_reason = record.frozen_reason;
      copy.resets = record.resets;
      copy.since_epoch = record.since_epoch;
      copy.schedule = record.schedule;
      copy.skipped_updates = record.skipped_updates;
      copy.best_epoch = record.best_epoch;
      copy.best_validation = record.best_validation;
      copy.best_test = record.best_test;
      out.models.push_back(std::move(copy));
    }
    return out;
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
  return Run(experiment, folder, options, observer).Go(backend);
}

}  // namespace modelbatch
