// The models of a run with the weights of their best epochs.
#ifndef MODELBATCH_TRAIN_BEST_MODELS_H_
#define MODELBATCH_TRAIN_BEST_MODELS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// FailedPrecondition names the model, and why it has no best epoch.
absl::Status CheckHasWeights(const Experiment& experiment,
                             const TrainState& state, int model);

// Those at the indices `models`, without an optimizer, to evaluate or predict
// with. `backend` must outlive the batch; `max_rows` as in ModelBatch::Create.
// FailedPrecondition names a model without a best epoch; other errors name the
// model whose weights do not fit.
absl::StatusOr<std::unique_ptr<ModelBatch>> BatchOfBestModels(
    const Experiment& experiment, const TrainState& state,
    const std::vector<int>& models, Backend* backend, int64_t max_rows);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_BEST_MODELS_H_
