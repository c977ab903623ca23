// What a run has come to, beside the state that the session holds.
#ifndef MODELBATCH_TRAIN_TRAIN_STATE_H_
#define MODELBATCH_TRAIN_TRAIN_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "modelbatch/backend/backend.h"
#include "modelbatch/tensor/tensor.h"

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
  // The step, counted from 1, in which it was frozen; 0: never.
  int64_t frozen_step = 0;
  Outcome frozen_outcome = Outcome::kStepped;  // why
  // The epoch, counted from 1, whose weights `best` has; 0: none yet. The test
  // score belongs to the same weights; nothing is selected by it.
  int64_t best_epoch = 0;
  Score best_validation;
  Score best_test;
  std::map<std::string, Tensor> best;  // parameter -> weights

  bool frozen() const { return frozen_step != 0; }
};

// One epoch, an entry a model; NaN and -1 for a frozen one.
struct EpochCurve {
  std::vector<double> train_loss;  // mean over the epoch's rows, in training
  std::vector<Score> validation;   // after the epoch
};

struct TrainState {
  int64_t epoch = 0;          // epochs finished
  int64_t step_in_epoch = 0;  // steps done in the one that is not
  int64_t step = 0;           // steps done in all
  // Of the epoch that is not finished: sum of loss x rows, and of rows.
  std::vector<double> epoch_loss;
  std::vector<int64_t> epoch_rows;
  std::vector<ModelRecord> models;
  std::vector<EpochCurve> curves;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TRAIN_STATE_H_
