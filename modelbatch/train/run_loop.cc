#include "modelbatch/train/run_loop.h"

#include <vector>

#include "modelbatch/train/checkpoint.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

bool RunLoop::Stopping() const {
  return options_.stop != nullptr &&
         options_.stop->load(std::memory_order_relaxed);
}

absl::StatusOr<bool> RunLoop::Train(Trainer* trainer,
                                    const std::string& checkpoint,
                                    size_t events_written, LogMetrics* log) {
  const int64_t every = trainer->experiment().config.train.checkpoint_every;
  const TrainState& state = trainer->state();
  MB_ASSIGN_OR_RETURN(const int64_t at_once, trainer->StepsAtOnce());
  int64_t saved_step = -1;
  bool interrupted = false;
  const auto after_step = [&]() -> absl::Status {
    const StepReport& report = trainer->last_step();
    times_.model_rows += report.model_rows;
    for (; events_written < state.events.size(); ++events_written) {
      MB_RETURN_IF_ERROR(folder_.AddEvent(state.events[events_written]));
    }
    if (observer_ != nullptr) observer_->OnStep(*trainer);
    if (every > 0 && report.epoch_finished && state.epoch % every == 0) {
      MB_RETURN_IF_ERROR(Save(trainer, checkpoint, log));
      saved_step = state.step;
    }
    return absl::OkStatus();
  };
  while (!trainer->finished()) {
    if (Stopping()) {
      interrupted = true;
      break;
    }
    MB_RETURN_IF_ERROR(trainer->Steps(at_once, after_step));
  }
  if (saved_step != state.step) {
    MB_RETURN_IF_ERROR(Save(trainer, checkpoint, log));
  }
  if (interrupted) {
    MB_RETURN_IF_ERROR(
        folder_.AddEvent(state.step, state.epoch + 1, "interrupted"));
  }
  return interrupted;
}

absl::Status RunLoop::Save(Trainer* trainer, const std::string& checkpoint,
                           LogMetrics* log) {
  // A resumed run takes the log up where the checkpoint is.
  if (log != nullptr) MB_RETURN_IF_ERROR(log->Flush());
  MB_RETURN_IF_ERROR(WriteCheckpoint(checkpoint, trainer, options_.info));
  if (observer_ != nullptr) observer_->OnCheckpoint(*trainer, checkpoint);
  return absl::OkStatus();
}

}  // namespace modelbatch
