// Reads `[data]`. Private to config/.
#ifndef MODELBATCH_CONFIG_DATA_READER_H_
#define MODELBATCH_CONFIG_DATA_READER_H_

#include <string>

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// The table "data" of `root`. Paths in it are relative to `folder`. The files
// are not opened. Errors go to the table's status.
DataConfig ReadData(TableReader* root, const std::string& folder);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_DATA_READER_H_
