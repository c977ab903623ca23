// Steps a trainer until it has finished or is to stop, with its events written
// and its checkpoints saved.
#ifndef MODELBATCH_TRAIN_RUN_LOOP_H_
#define MODELBATCH_TRAIN_RUN_LOOP_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/train/log_metrics.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_options.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

class RunLoop {
 public:
  // All must outlive it. `observer` may be null.
  RunLoop(const RunFolder* folder, const RunOptions* options,
          TrainObserver* observer, RunTimes* times)
      : folder_(*folder),
        options_(*options),
        observer_(observer),
        times_(*times) {}

  // Saves to the file `checkpoint`, in the end as well. Of the trainer's events
  // the first `events_written` are in events.jsonl. `log` may be null. Returns
  // whether it was stopped before its end.
  absl::StatusOr<bool> Train(Trainer* trainer, const std::string& checkpoint,
                             size_t events_written, LogMetrics* log);

 private:
  bool Stopping() const;
  absl::Status Save(Trainer* trainer, const std::string& checkpoint,
                    LogMetrics* log);

  const RunFolder& folder_;
  const RunOptions& options_;
  TrainObserver* const observer_;
  RunTimes& times_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_LOOP_H_
