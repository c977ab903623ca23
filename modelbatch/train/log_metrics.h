// Logs what training measures of every model, by train.log: a callback around
// MetricsLoggers.
//
//   MB_ASSIGN_OR_RETURN(auto log, LogMetrics::Open(experiment, folder, {}));
//   trainer->AddCallback(log.get());
//
// Every `train.log.every` steps, of the models that took part:
//   loss   of the step's batch, before the update
// After every epoch, of the models that were not frozen in it, what curves.csv
// has of them:
//   train_loss, validation_loss, validation_accuracy
//
// Models are named by their ids; their hyper-parameters are the swept values.
// Files are complete up to the step whenever Flush has returned, which OnEpoch
// calls.
#ifndef MODELBATCH_TRAIN_LOG_METRICS_H_
#define MODELBATCH_TRAIN_LOG_METRICS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/loggers/metrics_logger.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

class LogMetrics : public Callback {
 public:
  // The writers of train.log, in the run's folder; there may be none.
  // `resume_step`: that of the checkpoint, in a run that is resumed. Errors are
  // those of OpenCsvLogger and the others.
  static absl::StatusOr<std::unique_ptr<LogMetrics>> Open(
      const Experiment& experiment, const RunFolder& folder,
      std::optional<int64_t> resume_step);

  // Before callbacks that replace models: what was measured is of those before.
  absl::Status OnStep(Trainer* trainer) override;
  absl::Status OnEpoch(Trainer* trainer) override;
  bool allows_steps_at_once() const override { return true; }

  absl::Status Flush();

  // Of a run that has not begun: removes the files that Open has made. Nothing
  // may be logged any more.
  void Discard();

 private:
  explicit LogMetrics(int64_t every) : every_(every) {}

  // `models`: indices; `metrics` have a value for each.
  absl::Status Log(const Trainer& trainer, int64_t epoch,
                   const std::vector<int>& models, std::vector<Column> metrics);
  absl::Status LogHyperParameters(const Trainer& trainer, int model);

  int64_t every_;  // steps; 0: epochs only
  std::vector<std::unique_ptr<MetricsLogger>> loggers_;
  std::vector<std::string> made_;  // files and folders, where a run begins
  std::set<int64_t> seen_;         // ids whose hyper-parameters are logged
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_LOG_METRICS_H_
