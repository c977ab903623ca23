// The folder of a run and what lies in it:
//
//   config.resolved.toml    every setting; the run repeats from it
//   checkpoint.safetensors  the whole state (checkpoint.h)
//   waves/models_<first>-<last>.safetensors   the same of some models, while
//                           they are trained in waves (run_waves.h)
//   events.jsonl            what happened: a JSON object a line
//   results.csv             a line a model
//   curves.csv              a line an epoch and model
//   folds.csv               with data.folds, a line a setting
//   summary.json            the best model, who made the run, times, plan
//   models/model_<id>.safetensors   weights of each model's best epoch
//   initial/, initial.safetensors   copies of train.init_from
//   lock                    held while a process trains in the folder
//   confusion.csv           confusion matrices, if train.log asks for them
//   metrics.csv, metrics.jsonl, tensorboard/   what train.log names
//
// The first three and the last line's while it runs, the others when it ends or
// is interrupted.
#ifndef MODELBATCH_TRAIN_RUN_FOLDER_H_
#define MODELBATCH_TRAIN_RUN_FOLDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/io/file_lock.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/event.h"

namespace modelbatch {

// A line of events.jsonl.
struct RunEvent {
  int64_t step = 0;
  int64_t epoch = 1;           // the one it happened in, from 1
  std::string what;            // of the run as a whole: "interrupted"
  std::optional<Event> event;  // of a model; `what` is empty then
};

// A checkpoint of the models [begin, end).
struct WaveFile {
  int begin = 0;
  int end = 0;
  std::string path;
};

class RunFolder {
 public:
  // A new folder, as train.output says, with the resolved config in it and
  // locked while this or a copy of it lives. AlreadyExists when it holds a run,
  // FailedPrecondition when another process has locked it. With `population`
  // its initial weights are copied, and the config in the folder names the
  // copies.
  static absl::StatusOr<RunFolder> Create(
      const ExperimentConfig& config, const Population* population = nullptr);
  // That of a run. NotFound when there is none.
  static absl::StatusOr<RunFolder> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string config() const { return path_ + "/config.resolved.toml"; }
  std::string checkpoint() const { return path_ + "/checkpoint.safetensors"; }
  std::string events() const { return path_ + "/events.jsonl"; }
  std::string results() const { return path_ + "/results.csv"; }
  std::string curves() const { return path_ + "/curves.csv"; }
  std::string folds() const { return path_ + "/folds.csv"; }
  std::string summary() const { return path_ + "/summary.json"; }
  std::string confusion() const { return path_ + "/confusion.csv"; }
  std::string metrics_csv() const { return path_ + "/metrics.csv"; }
  std::string metrics_jsonl() const { return path_ + "/metrics.jsonl"; }
  std::string tensorboard() const { return path_ + "/tensorboard"; }

  // Of the whole run, or of a wave.
  bool HasCheckpoint() const;
  bool HasWholeCheckpoint() const;
  WaveFile Wave(int begin, int end) const;
  // Those there are, by their first model. A file whose models are all in
  // another one is none: a wave was being divided. InvalidArgument: two overlap
  // otherwise, or a file's name is not one of Wave's.
  absl::StatusOr<std::vector<WaveFile>> Waves() const;
  absl::Status MakeWaveFolder() const;
  void RemoveWaves() const;
  // Keeps other trainings out while the lock lives, that of Create where this
  // is from there. FailedPrecondition: another process trains here.
  absl::StatusOr<std::shared_ptr<FileLock>> Lock() const;
  // Of a run from Create that has not begun: removes what Create has made, and
  // MakeWaveFolder. A folder that was there before stays.
  void Discard() const;
  absl::Status WriteConfig(const ExperimentConfig& config) const;

  // Adds a line to events.jsonl: step, epoch (the one it happened in, from 1)
  // and what happened to the run as a whole; or what was done to a model.
  absl::Status AddEvent(int64_t step, int64_t epoch,
                        const std::string& event) const;
  absl::Status AddEvent(const Event& event) const;
  // All lines, none without the file. InvalidArgument names file, line and
  // field; a last line that a crash cut off is none.
  absl::StatusOr<std::vector<RunEvent>> ReadEvents() const;
  // Removes files that a killed process left half-written.
  void RemoveTemporaries() const;
  // Forgets what happened after `step`: a resumed run does it again. The
  // models' events are then `events`, whatever the file had.
  absl::Status RestoreEvents(int64_t step,
                             const std::vector<Event>& events) const;

 private:
  // What Create puts into a new folder.
  absl::Status Fill(const ExperimentConfig& config,
                    const Population* population);
  absl::Status AddLine(const std::string& json) const;
  // With those that are none.
  absl::StatusOr<std::vector<WaveFile>> AllWaves() const;

  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::shared_ptr<FileLock> lock_;  // null: from Open
  bool made_ = false;               // by Create
  bool copied_initial_ = false;     // by Create, or some of it
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_FOLDER_H_
