#include "modelbatch/train/train_state.h"

#include <limits>

namespace modelbatch {
namespace {

void Begin(const Event& event, ModelRecord* record) {
  record->frozen_step = -1;
  record->frozen_by = EventKind::kFreeze;
  record->frozen_reason.clear();
  record->since_epoch = event.epochs_finished();
}

}  // namespace

Score::Score() : loss(std::numeric_limits<double>::quiet_NaN()), correct(-1) {}

void RecordEvent(const Event& event, ModelRecord* record) {
  switch (event.kind) {
    case EventKind::kFreeze:
    case EventKind::kEarlyStop:
    case EventKind::kRemove:
      record->frozen_step = event.step;
      record->frozen_by = event.kind;
      record->frozen_reason = event.reason;
      return;
    case EventKind::kReset:
      ++record->resets;
      return Begin(event, record);
    case EventKind::kUnfreeze:
      return Begin(event, record);
    case EventKind::kReplace:
      *record = ModelRecord();
      return Begin(event, record);
    case EventKind::kWarning:
      return;
  }
}

}  // namespace modelbatch
