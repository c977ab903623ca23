// Reads `[train.log]`. Private to config/.
#ifndef MODELBATCH_CONFIG_LOG_READER_H_
#define MODELBATCH_CONFIG_LOG_READER_H_

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// The table "log" of `train`. Errors go to the table's status.
LogConfig ReadLog(TableReader* train, const DataConfig& data);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_LOG_READER_H_
