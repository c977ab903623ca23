// Reads `[data.split]` and `[data.folds]`. Private to config/.
#ifndef MODELBATCH_CONFIG_SPLIT_READER_H_
#define MODELBATCH_CONFIG_SPLIT_READER_H_

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// Each reads its table below `data`, once task and files are known; the folds
// first.
void ReadFolds(TableReader* data, DataConfig* config);
void ReadSplit(TableReader* data, DataConfig* config);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_SPLIT_READER_H_
