#include "modelbatch/train/run_files.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/fold_summary.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::Status WriteRunFiles(const RunFolder& folder,
                           const Experiment& experiment,
                           const TrainState& state, const RunInfo& info,
                           const SessionStats& stats, const RunTimes& times) {
  MB_RETURN_IF_ERROR(
      WriteFileAtomically(folder.results(), ResultsCsv(experiment, state)));
  MB_RETURN_IF_ERROR(
      WriteFileAtomically(folder.curves(), CurvesCsv(experiment, state)));
  if (experiment.config.data.folds.has_value()) {
    MB_RETURN_IF_ERROR(
        WriteFileAtomically(folder.folds(), FoldsCsv(experiment, state)));
  }
  MB_RETURN_IF_ERROR(WriteModels(experiment, state, folder.path()));
  return WriteFileAtomically(
      folder.summary(), SummaryJson(experiment, state, info, stats, times));
}

std::string TimeNow() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(),
                          absl::UTCTimeZone());
}

TrainState WithoutWeights(const TrainState& state) {
  TrainState out;
  out.epoch = state.epoch;
  out.step_in_epoch = state.step_in_epoch;
  out.step = state.step;
  out.curves = state.curves;
  out.events = state.events;
  for (const ModelRecord& record : state.models) {
    ModelRecord copy;
    copy.frozen_step = record.frozen_step;
    copy.frozen_by = record.frozen_by;
    copy.frozen_reason = record.frozen_reason;
    copy.resets = record.resets;
    copy.since_epoch = record.since_epoch;
    copy.schedule = record.schedule;
    copy.skipped_updates = record.skipped_updates;
    copy.best_epoch = record.best_epoch;
    copy.best_validation = record.best_validation;
    copy.best_test = record.best_test;
    out.models.push_back(std::move(copy));
  }
  return out;
}

}  // namespace modelbatch
