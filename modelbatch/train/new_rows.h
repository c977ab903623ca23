// Rows to predict: of files like those that a run was trained on.
//
//   MB_ASSIGN_OR_RETURN(DataTable data, ReadNewRows(run, {{"new.csv"}}));
#ifndef MODELBATCH_TRAIN_NEW_ROWS_H_
#define MODELBATCH_TRAIN_NEW_ROWS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/train/trained_run.h"

namespace modelbatch {

struct NewRowsFiles {
  // One, of CIFAR one or several. NPY, IDX: that of the features.
  std::vector<std::string> paths;
  // NPZ: the array of the features; empty: as the run's.
  std::string features;
  // NPY, IDX: a file; NPZ: an array, empty: as the run's, if it is there. Else
  // empty: there are no targets.
  std::string targets;
};

// In the run's format, scaled as in training. CSV: the same features in the
// same order, with or without the columns of the label; where both have a
// header, names are compared. Errors name the file and the place in it.
// InvalidArgument: an option that the format does not have.
absl::StatusOr<DataTable> ReadNewRows(const TrainedRun& run,
                                      const NewRowsFiles& files);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_NEW_ROWS_H_
