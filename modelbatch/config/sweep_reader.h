// Reads a number that may be swept:
//
//   lr = 0.001
//   lr = [0.001, 0.002, 0.004]                                # one a model
//   lr = { values = [0.001, 0.01] }
//   lr = { min = 1e-4, max = 0.1, scale = "log", count = 8 }
//   lr = { min = 1e-4, max = 0.1, scale = "log", random = true }
//
// Private to config/.
#ifndef MODELBATCH_CONFIG_SWEEP_READER_H_
#define MODELBATCH_CONFIG_SWEEP_READER_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"
#include "toml++/toml.h"

namespace modelbatch {

// Says why a value may not be, for NaN too.
using CheckNumber = std::function<absl::Status(double)>;

// Key `key` of `table`, which must be there. Errors go to the table's status.
// `grid`: a range must have a count, unless it is drawn from. `flag`: true and
// false stand for 1 and 0.
Sweep ReadSweep(TableReader* table, const std::string& key, bool integer,
                bool grid, const CheckNumber& check, bool flag = false);

// The same of a node that is no key: an entry of an array, at `path`.
Sweep ReadSweepAt(const toml::node& node, const std::string& path,
                  TableReader* table, bool integer, bool grid,
                  const CheckNumber& check, bool flag = false);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_SWEEP_READER_H_
