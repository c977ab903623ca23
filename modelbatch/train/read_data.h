// Reads the rows that a config names.
//
//   MB_ASSIGN_OR_RETURN(ExperimentRows rows, ReadRows(config));
#ifndef MODELBATCH_TRAIN_READ_DATA_H_
#define MODELBATCH_TRAIN_READ_DATA_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/data/split.h"

namespace modelbatch {

struct ExperimentRows {
  DataTable table;  // those of all files
  // data.split of the main files' rows; the rows of data.validation and
  // data.test are those parts.
  Split split;
};

// Errors name the config's line and key, and the place in the data.
absl::StatusOr<ExperimentRows> ReadRows(const ExperimentConfig& config);

// Where the config names the data as a whole: "data.path", or "data" where that
// is several keys. Messages about rows name the file themselves.
const char* DataPlace(const DataConfig& data);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_READ_DATA_H_
