#include "modelbatch/train/run_waves.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
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
#include "modelbatch/train/merge_checkpoints.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/run_checkpoint.h"
#include "modelbatch/train/run_files.h"
#include "modelbatch/train/run_loop.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

class WaveRun {
 public:
  WaveRun(const Experiment& experiment, Backend* backend,
          const RunFolder& folder, const RunOptions& options,
          TrainObserver* observer)
      : experiment_(experiment),
        backend_(backend),
        folder_(folder),
        options_(options),
        observer_(observer),
        models_(experiment.population.size()),
        halves_(experiment.config.train.models_at_once == kModelsThatFit),
        at_once_(models_),
        ended_(models_, false) {
    const int64_t wanted = experiment.config.train.models_at_once;
    if (wanted > 0)
      at_once_ = static_cast<int>(std::min<int64_t>(wanted, models_));
  }

  absl::StatusOr<RunResult> Go() {
    result_.times.started = TimeNow();
    MB_ASSIGN_OR_RETURN(const std::shared_ptr<FileLock> lock, folder_.Lock());
    if (options_.callback != nullptr) {
      // Where the config says "all", earlier processes have left waves.
      const bool asked = experiment_.config.train.models_at_once != kAllModels;
      return Refused(absl::UnimplementedError(absl::StrCat(
          asked ? "train.models_at_once must be \"all\" with a callback of the "
                  "program, "
                : absl::StrCat(folder_.path(),
                               " was begun in waves, and goes on in them: "
                               "expected no callback of the program, "),
          "which would see the models of one wave only")));
    }
    if (options_.resume) MB_RETURN_IF_ERROR(LookAtWaves());
    const absl::Time start = absl::Now();
    while (!result_.interrupted) {
      const auto first = std::find(ended_.begin(), ended_.end(), false);
      if (first == ended_.end()) break;
      MB_RETURN_IF_ERROR(NextWave(static_cast<int>(first - ended_.begin())));
    }
    result_.times.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    result_.times.finished = TimeNow();
    MB_RETURN_IF_ERROR(Finish());
    return std::move(result_);
  }

 private:
  // Of a run that has not begun, or not come to a step for lack of memory: its
  // folder is free for another attempt.
  absl::Status Refused(const absl::Status& status) {
    const bool stepped = stepped_ || std::find(ended_.begin(), ended_.end(),
                                               true) != ended_.end();
    const bool begun =
        begun_ && (stepped || !absl::IsResourceExhausted(status));
    if (!options_.resume && !begun) folder_.Discard();
    return status;
  }

  Experiment ModelsOf(int begin, int end) const {
    std::vector<int> models(end - begin);
    std::iota(models.begin(), models.end(), begin);
    return SomeModels(experiment_, models);
  }

  // ---- What earlier processes have left

  absl::Status LookAtWaves() {
    result_.times.resumed = true;
    folder_.RemoveTemporaries();
    MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder_.Waves());
    if (folder_.HasWholeCheckpoint()) {
      MB_ASSIGN_OR_RETURN(const Checkpoint whole,
                          ReadCheckpoint(folder_.checkpoint()));
      MB_RETURN_IF_ERROR(LookAt(whole, 0, models_));
      MB_RETURN_IF_ERROR(CheckIsSliceable(whole));
    }
    for (const WaveFile& wave : waves) {
      if (wave.end > models_) {
        return absl::FailedPreconditionError(absl::StrCat(
            wave.path, " is not of this run of ", models_, " models"));
      }
      MB_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                          ReadCheckpoint(wave.path));
      MB_RETURN_IF_ERROR(LookAt(checkpoint, wave.begin, wave.end));
    }
    return absl::OkStatus();
  }

  absl::Status LookAt(const Checkpoint& checkpoint, int begin, int end) {
    MB_ASSIGN_OR_RETURN(
        const std::string differences,
        CheckResumes(checkpoint, ModelsOf(begin, end), options_));
    if (differences_.empty()) differences_ = differences;
    const int64_t epochs = experiment_.config.train.epochs;
    std::fill(ended_.begin() + begin, ended_.begin() + end,
              HasEnded(checkpoint.state, epochs));
    return absl::OkStatus();
  }

  // The wave file that has a model.
  absl::StatusOr<std::optional<WaveFile>> FileOf(int model) const {
    MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder_.Waves());
    for (const WaveFile& wave : waves) {
      if (model >= wave.begin && model < wave.end) return std::optional(wave);
    }
    return std::optional<WaveFile>();
  }

  // Where the models [begin, end) have come to; none: they have not begun. A
  // file that has more models is divided.
  absl::StatusOr<std::optional<Checkpoint>> StateOf(int begin, int end) const {
    MB_ASSIGN_OR_RETURN(const std::optional<WaveFile> file, FileOf(begin));
    if (file.has_value()) {
      if (file->end != end) MB_RETURN_IF_ERROR(Divide(*file, end));
      MB_ASSIGN_OR_RETURN(Checkpoint state,
                          ReadCheckpoint(folder_.Wave(begin, end).path));
      return std::optional(std::move(state));
    }
    if (!folder_.HasWholeCheckpoint()) return std::optional<Checkpoint>();
    MB_ASSIGN_OR_RETURN(Checkpoint whole, ReadCheckpoint(folder_.checkpoint()));
    return std::optional(SliceCheckpoint(std::move(whole), begin, end));
  }

  absl::Status Divide(const WaveFile& file, int at) const {
    for (const auto& [begin, end] :
         {std::pair(file.begin, at), std::pair(at, file.end)}) {
      MB_ASSIGN_OR_RETURN(Checkpoint all, ReadCheckpoint(file.path));
      const Checkpoint part =
          SliceCheckpoint(std::move(all), begin - file.begin, end - file.begin);
      MB_RETURN_IF_ERROR(WriteCheckpoint(folder_.Wave(begin, end).path,
                                         ModelsOf(begin, end), part));
    }
    // Whoever lists the files takes the larger one, which is the older.
    std::error_code error;
    if (!std::filesystem::remove(file.path, error)) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot remove ", file.path,
                       ", whose models are in files of their own "
                       "now: ",
                       error.message()));
    }
    return absl::OkStatus();
  }

  // ---- A wave

  absl::Status NextWave(int begin) {
    MB_ASSIGN_OR_RETURN(const std::optional<WaveFile> file, FileOf(begin));
    int end = file.has_value() ? file->end : begin + 1;
    // Up to the next that has ended, or has a file.
    while (!file.has_value() && end < models_ && !ended_[end]) {
      MB_ASSIGN_OR_RETURN(const std::optional<WaveFile> next, FileOf(end));
      if (next.has_value()) break;
      ++end;
    }
    end = std::min(end, begin + at_once_);
    const absl::Status status =
        WithinHostMemory([&] { return TrainWave(begin, end); });
    if (!absl::IsResourceExhausted(status) || !needs_memory_ || stepped_) {
      return Refused(status);
    }
    if (!halves_ || end - begin == 1) {
      return Refused(absl::ResourceExhaustedError(absl::StrCat(
          std::string(status.message()), "; train.models_at_once: models ",
          begin, " to ", end - 1, " are too many at once")));
    }
    at_once_ = (end - begin + 1) / 2;
    Log(LogSeverity::kInfo,
        absl::StrCat("models ", begin, " to ", end - 1,
                     " do not fit at once, trying ", at_once_));
    return absl::OkStatus();
  }

  absl::Status TrainWave(int begin, int end) {
    stepped_ = false;
    needs_memory_ = true;
    const Experiment wave = ModelsOf(begin, end);
    MB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                        Trainer::Create(&wave, backend_));
    needs_memory_ = false;
    MB_ASSIGN_OR_RETURN(std::optional<Checkpoint> state, StateOf(begin, end));
    needs_memory_ = true;
    if (state.has_value()) {
      MB_RETURN_IF_ERROR(
          trainer->Restore(std::move(state->state), state->models));
    }
    needs_memory_ = false;
    if (!begun_) MB_RETURN_IF_ERROR(Begin(trainer->state()));
    needs_memory_ = true;
    if (observer_ != nullptr) {
      observer_->OnWave(begin, end, models_);
      observer_->OnStart(*trainer);
    }
    Watch watch(observer_, &stepped_);
    RunLoop loop(&folder_, &options_, &watch, &result_.times);
    MB_ASSIGN_OR_RETURN(result_.interrupted,
                        loop.Train(trainer.get(), folder_.Wave(begin, end).path,
                                   trainer->state().events.size(), nullptr));
    // A backend need not tell.
    absl::StatusOr<SessionStats> stats = trainer->batch().session().Stats();
    if (stats.ok() && stats->state_bytes >= result_.stats.state_bytes) {
      result_.stats = *std::move(stats);
    }
    if (!result_.interrupted) {
      std::fill(ended_.begin() + begin, ended_.begin() + end, true);
    }
    return absl::OkStatus();
  }

  // Notes that a step was made.
  class Watch : public TrainObserver {
   public:
    Watch(TrainObserver* observer, bool* stepped)
        : observer_(observer), stepped_(stepped) {}
    void OnStep(const Trainer& trainer) override {
      *stepped_ = true;
      if (observer_ != nullptr) observer_->OnStep(trainer);
    }
    void OnCheckpoint(const Trainer& trainer,
                      const std::string& path) override {
      if (observer_ != nullptr) observer_->OnCheckpoint(trainer, path);
    }

   private:
    TrainObserver* observer_;
    bool* stepped_;
  };

  // Not before a wave is known to run: a refusal changes nothing.
  absl::Status Begin(const TrainState& at) {
    MB_RETURN_IF_ERROR(folder_.MakeWaveFolder());
    begun_ = true;
    if (!options_.resume) return absl::OkStatus();
    MB_RETURN_IF_ERROR(folder_.WriteConfig(experiment_.config));
    if (folder_.HasCheckpoint()) {
      MB_ASSIGN_OR_RETURN(const Checkpoint all,
                          ReadRunCheckpoint(folder_, experiment_.config));
      MB_RETURN_IF_ERROR(RestoreEvents(all));
    } else {
      MB_RETURN_IF_ERROR(folder_.RestoreEvents(0, {}));
    }
    std::string event = "resumed";
    if (!differences_.empty()) {
      absl::StrAppend(&event, ", forced: ", differences_);
    }
    return folder_.AddEvent(at.step, at.epoch + 1, event);
  }

  // In the order of one batch.
  absl::Status RestoreEvents(const Checkpoint& all) const {
    return folder_.RestoreEvents(
        experiment_.config.train.epochs * experiment_.steps_per_epoch,
        all.state.events);
  }

  // ---- The end

  absl::Status Finish() {
    MB_ASSIGN_OR_RETURN(Checkpoint all,
                        ReadRunCheckpoint(folder_, experiment_.config));
    // All waves had ended before.
    if (!begun_) MB_RETURN_IF_ERROR(Begin(all.state));
    Experiment now = experiment_;
    MB_ASSIGN_OR_RETURN(
        now.population,
        PopulationAfter(all.state.events, experiment_.population));
    if (!result_.interrupted) {
      all.info = options_.info;
      MB_RETURN_IF_ERROR(
          WriteCheckpoint(folder_.checkpoint(), experiment_, all));
      MB_RETURN_IF_ERROR(RestoreEvents(all));
    }
    MB_RETURN_IF_ERROR(WriteRunFiles(folder_, now, all.state, options_.info,
                                     result_.stats, result_.times));
    MB_RETURN_IF_ERROR(WriteConfusion(now, all.state));
    // Last: until then a run that is killed goes on from them.
    if (!result_.interrupted) folder_.RemoveWaves();
    result_.state = WithoutWeights(all.state);
    result_.population = std::move(now.population);
    result_.models_ended =
        static_cast<int>(std::count(ended_.begin(), ended_.end(), true));
    return absl::OkStatus();
  }

  absl::Status WriteConfusion(const Experiment& now, const TrainState& state) {
    if (!now.config.train.log.confusion) return absl::OkStatus();
    MB_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> dataset,
                        backend_->CreateDataset(now.data->features.Borrow(),
                                                now.data->targets.Borrow()));
    while (true) {
      const absl::StatusOr<std::string> confusion = WithinHostMemory([&] {
        return ConfusionCsv(now, state, *dataset, backend_, at_once_);
      });
      if (confusion.ok()) {
        return WriteFileAtomically(folder_.confusion(), *confusion);
      }
      if (!halves_ || at_once_ == 1 ||
          !absl::IsResourceExhausted(confusion.status())) {
        return confusion.status();
      }
      at_once_ = (at_once_ + 1) / 2;
    }
  }

  const Experiment& experiment_;
  Backend* const backend_;
  const RunFolder& folder_;
  const RunOptions& options_;
  TrainObserver* const observer_;
  const int models_;
  const bool halves_;        // a wave that does not fit
  int at_once_;              // models of a wave, at most
  std::vector<bool> ended_;  // by model
  bool begun_ = false;       // a wave, in this process
  bool stepped_ = false;     // the wave that is on
  // What is on needs the device's memory, which may be too small; and not a
  // disk, which may be full.
  bool needs_memory_ = false;
  std::string differences_;  // from the process that made the checkpoints
  RunResult result_;
};

}  // namespace

absl::StatusOr<RunResult> RunWaves(const Experiment& experiment,
                                   Backend* backend, const RunFolder& folder,
                                   const RunOptions& options,
                                   TrainObserver* observer) {
  return WaveRun(experiment, backend, folder, options, observer).Go();
}

}  // namespace modelbatch
