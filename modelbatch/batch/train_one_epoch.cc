#include "modelbatch/batch/train_one_epoch.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

bool AnyRows(const ModelBatch& batch, const PerModelBatches& batches,
             int64_t step) {
  for (int i = 0; i < batch.num_models(); ++i) {
    if (batch.active()[i] != 0 && !batches.BatchOf(i, step).empty()) {
      return true;
    }
  }
  return false;
}

// Adds what the last step did; `losses` are sums.
void AddStep(const StepResult& done, const PerModelBatches& batches,
             int64_t step, std::vector<SkippedUpdates>* skipped,
             EpochResult* result) {
  for (size_t i = 0; i < done.outcomes.size(); ++i) {
    switch (done.outcomes[i]) {
      case Outcome::kStepped: {
        const int64_t rows = static_cast<int64_t>(
            batches.BatchOf(static_cast<int>(i), step).size());
        result->losses[i] +=
            static_cast<double>(done.losses[i]) * static_cast<double>(rows);
        result->rows[i] += rows;
        ++result->updates[i];
        break;
      }
      case Outcome::kNonFiniteLoss:
      case Outcome::kNonFiniteGradient: {
        SkippedUpdates& model = (*skipped)[i];
        if (model.count++ == 0) {
          model.model = static_cast<int>(i);
          model.first_step = step;
          model.outcome = done.outcomes[i];
        }
        break;
      }
      case Outcome::kInactive:
      case Outcome::kEmpty:
        break;
    }
  }
}

}  // namespace

absl::StatusOr<EpochResult> TrainOneEpoch(
    ModelBatch* batch, const Dataset& dataset, PerModelBatches* batches,
    int64_t epoch, const Optimizer& optimizer, const EpochHooks& hooks) {
  const int models = batch->num_models();
  if (batches->num_models() != models) {
    return absl::InvalidArgumentError(
        absl::StrCat("batches of ", batches->num_models(),
                     " models, expected those of the ", models, " models"));
  }
  if (epoch < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("epoch is ", epoch, ", expected at least 0"));
  }
  EpochResult result;
  result.losses.assign(models, 0);
  result.rows.assign(models, 0);
  result.updates.assign(models, 0);
  std::vector<SkippedUpdates> skipped(models);
  batches->StartEpoch(epoch);
  for (int64_t step = 0; step < batches->steps_per_epoch(); ++step) {
    if (hooks.before_step) MB_RETURN_IF_ERROR(hooks.before_step(step));
    if (!AnyRows(*batch, *batches, step)) continue;
    MB_RETURN_IF_ERROR(
        batch->TrainStep(dataset, batches->Batch(step), optimizer));
    AddStep(batch->last_step(), *batches, step, &skipped, &result);
    if (hooks.after_step) MB_RETURN_IF_ERROR(hooks.after_step(step));
  }
  for (int i = 0; i < models; ++i) {
    result.losses[i] =
        result.rows[i] > 0
            ? result.losses[i] / static_cast<double>(result.rows[i])
            : std::numeric_limits<double>::quiet_NaN();
    if (skipped[i].count > 0) result.skipped.push_back(skipped[i]);
  }
  return result;
}

}  // namespace modelbatch
