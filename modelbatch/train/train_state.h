// What a run has come to, beside the state that the session holds.
#ifndef MODELBATCH_TRAIN_TRAIN_STATE_H_
#define MODELBATCH_TRAIN_TRAIN_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/event.h"

namespace modelbatch {

// Loss and hits of one model on one part of the data. Without rows, classes or
// an evaluation: NaN and -1.
struct Score {
  double loss;
  int64_t correct;

  Score();
};

// One model's record.
struct ModelRecord {
  // ---- What the events have made of it (RecordEvent)

  // Steps done when it was frozen, stopped or removed; -1: it trains.
  int64_t frozen_step = -1;
  EventKind frozen_by = EventKind::kFreeze;  // or kEarlyStop, kRemove
  std::string frozen_reason;
  int64_t resets = 0;
  // Epochs finished when it began, was reset or was unfrozen.
  int64_t since_epoch = 0;

  // ---- What training has made of it

  // Of its learning rate; without a schedule: as it began.
  LrScheduleState schedule;
  // Steps without an update, as loss or gradient was not finite.
  int64_t skipped_updates = 0;
  // The epoch, counted from 1, whose weights `best` has; 0: none yet. The test
  // score belongs to the same weights; nothing is selected by it. A reset
  // leaves it as it is: a model ends with the best it has been.
  int64_t best_epoch = 0;
  Score best_validation;
  Score best_test;
  std::map<std::string, Tensor> best;  // parameter -> weights

  // Takes no part: frozen, stopped early or removed.
  bool frozen() const { return frozen_step >= 0; }
  bool removed() const { return frozen() && frozen_by == EventKind::kRemove; }
};

// What the event makes of the record of its model; a replaced one's is new.
void RecordEvent(const Event& event, ModelRecord* record);

// One epoch, an entry a model; NaN and -1 for a frozen one.
struct EpochCurve {
  // In training: the batches' losses, weighted by their rows.
  std::vector<double> train_loss;
  std::vector<Score> validation;  // after the epoch
  std::vector<double> lr;         // of the epoch's last update
};

struct TrainState {
  int64_t epoch = 0;          // epochs finished
  int64_t step_in_epoch = 0;  // steps done in the one that is not
  int64_t step = 0;           // steps done in all
  // Of the epoch that is not finished: sum of loss x rows, and of rows.
  std::vector<double> epoch_loss;
  std::vector<int64_t> epoch_rows;
  std::vector<double> epoch_lr;  // of the last update; NaN: none yet
  std::vector<ModelRecord> models;
  std::vector<EpochCurve> curves;
  std::vector<Event> events;  // in the order in which they happened
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TRAIN_STATE_H_
