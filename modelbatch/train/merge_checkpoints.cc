#include "modelbatch/train/merge_checkpoints.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/train/event.h"

namespace modelbatch {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// What one batch does first in a step: models are frozen one by one, then all
// resets follow (NaNCallback), then the epoch's end.
auto OrderOf(const Event& event) {
  return std::make_tuple(event.step, event.epoch_end,
                         event.kind == EventKind::kReset);
}

EpochCurve NoCurve(int models) {
  EpochCurve curve;
  curve.train_loss.assign(models, kNaN);
  curve.validation.resize(models);
  curve.lr.assign(models, kNaN);
  return curve;
}

absl::Status CheckSameRun(const Checkpoint& a, const Checkpoint& b) {
  if (a.config_fingerprint == b.config_fingerprint &&
      a.data_fingerprint == b.data_fingerprint &&
      a.initial_fingerprint == b.initial_fingerprint &&
      a.input_shape == b.input_shape &&
      a.validation_rows == b.validation_rows) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      "the checkpoints of models ", a.ids.front(), " to ", a.ids.back(),
      " and ", b.ids.front(), " to ", b.ids.back(), " are of different runs"));
}

void CopyCurves(const TrainState& from, int begin, TrainState* to) {
  const int models = static_cast<int>(to->models.size());
  while (to->curves.size() < from.curves.size()) {
    to->curves.push_back(NoCurve(models));
  }
  for (size_t epoch = 0; epoch < from.curves.size(); ++epoch) {
    const EpochCurve& curve = from.curves[epoch];
    EpochCurve& out = to->curves[epoch];
    std::copy(curve.train_loss.begin(), curve.train_loss.end(),
              out.train_loss.begin() + begin);
    std::copy(curve.validation.begin(), curve.validation.end(),
              out.validation.begin() + begin);
    std::copy(curve.lr.begin(), curve.lr.end(), out.lr.begin() + begin);
  }
}

// The sums of the epoch that is not finished; others' are of an earlier one.
void CopyEpoch(const TrainState& from, int begin, TrainState* to) {
  if (from.epoch != to->epoch) return;
  std::copy(from.epoch_loss.begin(), from.epoch_loss.end(),
            to->epoch_loss.begin() + begin);
  std::copy(from.epoch_rows.begin(), from.epoch_rows.end(),
            to->epoch_rows.begin() + begin);
  std::copy(from.epoch_lr.begin(), from.epoch_lr.end(),
            to->epoch_lr.begin() + begin);
}

void SetPosition(const std::vector<CheckpointPart>& parts, bool all_ended,
                 int64_t epochs, TrainState* state) {
  const TrainState* at = nullptr;
  for (const CheckpointPart& part : parts) {
    const TrainState& other = part.checkpoint.state;
    if (!all_ended && HasEnded(other, epochs)) continue;
    const bool further = at != nullptr && other.step > at->step;
    if (at == nullptr || further == all_ended) at = &other;
  }
  if (at == nullptr) return;
  state->epoch = at->epoch;
  state->step_in_epoch = at->step_in_epoch;
  state->step = at->step;
}

template <typename T>
void Slice(int begin, int end, std::vector<T>* values) {
  values->erase(values->begin() + end, values->end());
  values->erase(values->begin(), values->begin() + begin);
}

}  // namespace

bool HasEnded(const TrainState& state, int64_t epochs) {
  return state.epoch >= epochs ||
         std::all_of(state.models.begin(), state.models.end(),
                     [](const ModelRecord& model) { return model.frozen(); });
}

absl::Status CheckIsSliceable(const Checkpoint& checkpoint) {
  for (const Event& event : checkpoint.state.events) {
    if (event.kind == EventKind::kReplace || event.kind == EventKind::kRemove) {
      return absl::UnimplementedError(absl::StrCat(
          "a run goes on in one batch after this: ", DescribeEvent(event)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Checkpoint> MergeCheckpoints(std::vector<CheckpointPart> parts,
                                            int models, int64_t epochs) {
  Checkpoint whole;
  TrainState& state = whole.state;
  state.models.resize(models);
  state.epoch_loss.assign(models, 0);
  state.epoch_rows.assign(models, 0);
  state.epoch_lr.assign(models, kNaN);
  whole.models.resize(models);
  for (int i = 0; i < models; ++i) whole.ids.push_back(i);
  const Checkpoint& first = parts.front().checkpoint;
  int covered = 0;
  bool all_ended = true;
  for (const CheckpointPart& part : parts) {
    const absl::Status same = CheckSameRun(first, part.checkpoint);
    if (!same.ok()) return same;
    covered += static_cast<int>(part.checkpoint.ids.size());
    all_ended &= HasEnded(part.checkpoint.state, epochs);
  }
  all_ended &= covered == models;
  if (covered == models) SetPosition(parts, all_ended, epochs, &state);
  whole.input_shape = first.input_shape;
  whole.validation_rows = first.validation_rows;
  whole.feature_names = first.feature_names;
  whole.info = first.info;
  whole.config_fingerprint = first.config_fingerprint;
  whole.data_fingerprint = first.data_fingerprint;
  whole.initial_fingerprint = first.initial_fingerprint;
  for (CheckpointPart& part : parts) {
    TrainState& from = part.checkpoint.state;
    CopyCurves(from, part.begin, &state);
    CopyEpoch(from, part.begin, &state);
    std::move(from.models.begin(), from.models.end(),
              state.models.begin() + part.begin);
    std::move(part.checkpoint.models.begin(), part.checkpoint.models.end(),
              whole.models.begin() + part.begin);
    std::move(from.events.begin(), from.events.end(),
              std::back_inserter(state.events));
  }
  std::stable_sort(
      state.events.begin(), state.events.end(),
      [](const Event& a, const Event& b) { return OrderOf(a) < OrderOf(b); });
  return whole;
}

Checkpoint SliceCheckpoint(Checkpoint whole, int begin, int end) {
  TrainState& state = whole.state;
  Slice(begin, end, &whole.ids);
  Slice(begin, end, &whole.models);
  Slice(begin, end, &state.models);
  Slice(begin, end, &state.epoch_loss);
  Slice(begin, end, &state.epoch_rows);
  Slice(begin, end, &state.epoch_lr);
  for (EpochCurve& curve : state.curves) {
    Slice(begin, end, &curve.train_loss);
    Slice(begin, end, &curve.validation);
    Slice(begin, end, &curve.lr);
  }
  const std::set<int64_t> ids(whole.ids.begin(), whole.ids.end());
  state.events.erase(std::remove_if(state.events.begin(), state.events.end(),
                                    [&ids](const Event& event) {
                                      return ids.count(event.model) == 0;
                                    }),
                     state.events.end());
  return whole;
}

}  // namespace modelbatch
