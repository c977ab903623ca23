// ModelBatch: several steps in one call.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckSameColumns(absl::Span<const Column> columns,
                              absl::Span<const Column> first, size_t step) {
  bool same = columns.size() == first.size();
  for (size_t c = 0; same && c < columns.size(); ++c) {
    same = columns[c].name == first[c].name;
  }
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("step ", step,
                   ": the optimizer has other hyper-parameters than that of "
                   "the first step, expected others in value only"));
}

}  // namespace

absl::Status ModelBatch::TrainSteps(const Dataset& dataset,
                                    absl::Span<const BatchStep> steps) {
  last_steps_.made = 0;
  last_steps_.losses.clear();
  last_steps_.outcomes.clear();
  std::vector<RowSet> rows;
  std::vector<std::vector<int32_t>> moved_rows(steps.size());
  std::vector<std::vector<int64_t>> moved_offsets(steps.size());
  std::vector<Column> columns;
  for (size_t s = 0; s < steps.size(); ++s) {
    if (steps[s].optimizer == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("step ", s, " has no optimizer"));
    }
    const Optimizer& optimizer = *steps[s].optimizer;
    MB_RETURN_IF_ERROR(CheckOptimizer(optimizer));
    MB_RETURN_IF_ERROR(CheckSameColumns(optimizer.columns(),
                                        steps[0].optimizer->columns(), s));
    if (slots_.identity()) {
      rows.push_back(steps[s].rows);
    } else {
      MB_RETURN_IF_ERROR(CheckRows(steps[s].rows));
      // These live until the next call only.
      const RowSet of_slots = slots_.Rows(steps[s].rows);
      moved_rows[s].assign(of_slots.rows.begin(), of_slots.rows.end());
      moved_offsets[s].assign(of_slots.offsets.begin(), of_slots.offsets.end());
      rows.push_back({moved_rows[s], moved_offsets[s]});
    }
    const absl::Span<const Column> of_step =
        slots_.Columns(optimizer.columns());
    columns.resize(of_step.size());
    for (size_t c = 0; c < columns.size(); ++c) {
      columns[c].name = of_step[c].name;
      columns[c].values.insert(columns[c].values.end(),
                               of_step[c].values.begin(),
                               of_step[c].values.end());
    }
    NoteStates(optimizer);
  }
  StepsRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.columns = columns;
  request.active = slots_.Active(active_);
  const absl::Status status = session_->TrainSteps(request, &last_steps_);
  // An error may have left some models at a step that is not made by all.
  WeightsChanged();
  has_gradients_ = false;
  KeepSteps();
  return status;
}

void ModelBatch::KeepSteps() {
  const size_t models = models_.size();
  const size_t slots = static_cast<size_t>(slots_.num_slots());
  if (!slots_.identity()) {
    StepsResult all;
    all.made = last_steps_.made;
    all.losses.assign(last_steps_.made * models, 0.0f);
    all.outcomes.assign(last_steps_.made * models, Outcome::kInactive);
    for (int64_t s = 0; s < all.made; ++s) {
      for (size_t slot = 0; slot < slots; ++slot) {
        const size_t to = s * models + slots_.models()[slot];
        all.losses[to] = last_steps_.losses[s * slots + slot];
        all.outcomes[to] = last_steps_.outcomes[s * slots + slot];
      }
    }
    last_steps_ = std::move(all);
  }
  if (last_steps_.made == 0) return;
  const auto last = (last_steps_.made - 1) * static_cast<int64_t>(models);
  last_step_.losses.assign(last_steps_.losses.begin() + last,
                           last_steps_.losses.end());
  last_step_.outcomes.assign(last_steps_.outcomes.begin() + last,
                             last_steps_.outcomes.end());
  computed_losses_.clear();
}

}  // namespace modelbatch
