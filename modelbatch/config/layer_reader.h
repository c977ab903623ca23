// Reads `model.layers`. Private to config/.
#ifndef MODELBATCH_CONFIG_LAYER_READER_H_
#define MODELBATCH_CONFIG_LAYER_READER_H_

#include <vector>

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// The key "layers" of `model`. Each attribute is checked by itself; how the
// layers fit together is known when the shape of the data is. Errors go to the
// table's status.
std::vector<LayerConfig> ReadLayers(TableReader* model, bool grid);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_LAYER_READER_H_
