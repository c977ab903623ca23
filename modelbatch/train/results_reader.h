// results.csv, curves.csv and summary.json as they are read back (results.h
// writes them). Columns are found by their names: a file may have more.
//
//   MB_ASSIGN_OR_RETURN(std::string text, ReadFile(folder.results()));
//   MB_ASSIGN_OR_RETURN(ResultsTable results,
//                       ParseResults(text, folder.results()));
//
// `file` is for messages. Errors are InvalidArgument and name file and line,
// column or field, what was found and what was expected.
#ifndef MODELBATCH_TRAIN_RESULTS_READER_H_
#define MODELBATCH_TRAIN_RESULTS_READER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace modelbatch {

// A column of results.csv, an entry a model.
struct ResultsColumn {
  std::string name;
  std::vector<std::string> texts;  // as the file has them
  // Empty for a column of text. An empty field is NaN.
  std::vector<double> values;

  bool numeric() const { return !values.empty(); }
};

// An entry a model, in the order of the file.
struct ResultsTable {
  std::vector<int64_t> models;  // ids, each once
  std::vector<int64_t> ranks;   // from 1, each once
  std::vector<std::string> statuses;
  std::vector<int64_t> best_epochs;   // 0: none
  std::vector<ResultsColumn> swept;   // fields of the config: "optimizer.lr"
  std::vector<ResultsColumn> scores;  // "validation_loss", ...

  size_t size() const { return models.size(); }
  // Indices, the best model first.
  std::vector<int> ByRank() const;
  bool IsFrozen(int index) const;
  // Of `scores`; null when there is none of this name.
  const ResultsColumn* FindScore(const std::string& name) const;
};

// At least one model.
absl::StatusOr<ResultsTable> ParseResults(const std::string& text,
                                          const std::string& file);

struct ModelCurve {
  int64_t model = 0;            // id
  std::vector<int64_t> epochs;  // from 1, ascending
  // [metric][i] at epochs[i]; NaN where the model took no part.
  std::vector<std::vector<double>> values;
};

struct CurvesTable {
  std::vector<std::string> metrics;  // "train_loss", ...
  // In the order in which the file first has them. Of models that were replaced
  // too: not all are in results.csv.
  std::vector<ModelCurve> models;
};

absl::StatusOr<CurvesTable> ParseCurves(const std::string& text,
                                        const std::string& file);

struct RunSummary {
  std::string name;
  bool finished = false;
  int64_t models = 0;
  int64_t epochs_done = 0;
  int64_t epochs_planned = 0;
  int64_t steps = 0;
  int64_t train_rows = 0;
  int64_t validation_rows = 0;
  int64_t test_rows = 0;
  std::string selected_by;  // "validation_loss"
  std::string backend;
  std::string backend_version;
  std::string backend_build_id;
  std::string backend_path;
  std::string device;
  std::string modelbatch_version;
  std::string processor;
  int64_t cpus = 0;
  std::string host;
  std::string system;
  std::string started;  // RFC 3339; the last process that trained it
  std::string ended;
  double seconds = 0;
  double model_rows_per_second = 0;
  bool resumed = false;
  int64_t state_bytes = 0;
  int64_t workspace_bytes = 0;
  std::string plan;
};

absl::StatusOr<RunSummary> ParseSummary(const std::string& text,
                                        const std::string& file);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RESULTS_READER_H_
