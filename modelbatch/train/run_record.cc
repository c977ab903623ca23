#include "modelbatch/train/run_record.h"

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_checkpoint.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::Status ReadFiles(const RunFolder& folder, RunRecord* run) {
  MB_ASSIGN_OR_RETURN(const std::string results, ReadFile(folder.results()));
  MB_ASSIGN_OR_RETURN(run->results, ParseResults(results, folder.results()));
  MB_ASSIGN_OR_RETURN(const std::string curves, ReadFile(folder.curves()));
  MB_ASSIGN_OR_RETURN(run->curves, ParseCurves(curves, folder.curves()));
  MB_ASSIGN_OR_RETURN(const std::string summary, ReadFile(folder.summary()));
  MB_ASSIGN_OR_RETURN(run->summary, ParseSummary(summary, folder.summary()));
  return absl::OkStatus();
}

// What the files would be if the run ended at its last checkpoint.
absl::Status ReadFromCheckpoint(const RunFolder& folder, RunRecord* run) {
  run->from_checkpoint = true;
  absl::StatusOr<Experiment> prepared = PrepareExperiment(run->config);
  if (!prepared.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.path(),
        ": the run has not ended, and to read its checkpoint takes its data: ",
        std::string(prepared.status().message())));
  }
  Experiment& experiment = *prepared;
  MB_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                      ReadRunCheckpoint(folder, run->config));
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  MB_ASSIGN_OR_RETURN(
      experiment.population,
      PopulationAfter(checkpoint.state.events, experiment.population));
  const std::string& file = folder.checkpoint();
  MB_ASSIGN_OR_RETURN(
      run->results,
      ParseResults(ResultsCsv(experiment, checkpoint.state), file));
  MB_ASSIGN_OR_RETURN(
      run->curves, ParseCurves(CurvesCsv(experiment, checkpoint.state), file));
  MB_ASSIGN_OR_RETURN(run->summary,
                      ParseSummary(SummaryJson(experiment, checkpoint.state,
                                               checkpoint.info, {}, {}),
                                   file));
  return absl::OkStatus();
}

// Whether training went on after the results were written: resumed, and not
// come to an end or an interruption since.
bool WentOn(const RunRecord& run) {
  bool resumed = false;
  for (const RunEvent& event : run.events) {
    if (event.what == "interrupted") resumed = false;
    if (absl::StartsWith(event.what, "resumed")) resumed = true;
  }
  const bool ended = run.summary.finished &&
                     run.summary.epochs_planned == run.config.train.epochs;
  return resumed && !ended;
}

}  // namespace

absl::StatusOr<RunRecord> ReadRunRecord(const RunFolder& folder) {
  RunRecord run;
  run.folder = folder.path();
  MB_ASSIGN_OR_RETURN(run.config, LoadExperiment(folder.config()));
  MB_ASSIGN_OR_RETURN(run.config_text, ReadFile(folder.config()));
  MB_ASSIGN_OR_RETURN(run.events, folder.ReadEvents());
  const bool any = Exists(folder.results()) || Exists(folder.curves()) ||
                   Exists(folder.summary());
  const bool all = Exists(folder.results()) && Exists(folder.curves()) &&
                   Exists(folder.summary());
  if (!any && !folder.HasCheckpoint()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.path(),
        " has neither results.csv nor a checkpoint yet: nothing to show"));
  }
  // They are written when the run ends, after its checkpoint, one by one.
  if (all || !folder.HasCheckpoint()) {
    MB_RETURN_IF_ERROR(ReadFiles(folder, &run));
  }
  if (folder.HasCheckpoint() && (!all || WentOn(run))) {
    MB_RETURN_IF_ERROR(ReadFromCheckpoint(folder, &run));
  }
  return run;
}

std::vector<std::string> FieldLabels(const std::vector<std::string>& paths) {
  const auto last = [](const std::string& path) {
    return path.substr(path.rfind('.') + 1);
  };
  std::map<std::string, int> uses;
  for (const std::string& path : paths) ++uses[last(path)];
  std::vector<std::string> labels;
  for (const std::string& path : paths) {
    labels.push_back(uses[last(path)] == 1 ? last(path)
                     : absl::StartsWith(path, "model.")
                         ? path.substr(sizeof("model.") - 1)
                         : path);
  }
  return labels;
}

std::vector<std::string> FieldLabels(const ResultsTable& results) {
  std::vector<std::string> paths;
  for (const ResultsColumn& column : results.swept) {
    paths.push_back(column.name);
  }
  return FieldLabels(paths);
}

}  // namespace modelbatch
