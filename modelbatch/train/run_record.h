// A run as it is looked at afterwards: what its files tell, without weights.
//
//   MB_ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Open("runs/digits-1"));
//   MB_ASSIGN_OR_RETURN(RunRecord run, ReadRunRecord(folder));
//   const int best = run.results.ByRank()[0];
#ifndef MODELBATCH_TRAIN_RUN_RECORD_H_
#define MODELBATCH_TRAIN_RUN_RECORD_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/results_reader.h"
#include "modelbatch/train/run_folder.h"

namespace modelbatch {

struct RunRecord {
  std::string folder;
  ExperimentConfig config;
  std::string config_text;  // config.resolved.toml
  ResultsTable results;
  CurvesTable curves;
  RunSummary summary;
  std::vector<RunEvent> events;
  // The run goes on, or was killed: results, curves and summary are those of
  // its last checkpoint, without times, memory and plan.
  bool from_checkpoint = false;
};

// Of a run that has ended or was interrupted, its files; of another, or of one
// that was resumed since, its last checkpoint, for which its data is read.
// NotFound and FailedPrecondition where there is nothing to show yet; what is
// wrong in a file is InvalidArgument, with file and line.
absl::StatusOr<RunRecord> ReadRunRecord(const RunFolder& folder);

// A name for each path of a field of the config: its last part where no other
// path ends so, "layers[2].p" else.
std::vector<std::string> FieldLabels(const std::vector<std::string>& paths);

// The same of `results.swept`.
std::vector<std::string> FieldLabels(const ResultsTable& results);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_RECORD_H_
