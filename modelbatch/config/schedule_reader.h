// Reads `optimizer.schedule`. Private to config/.
#ifndef MODELBATCH_CONFIG_SCHEDULE_READER_H_
#define MODELBATCH_CONFIG_SCHEDULE_READER_H_

#include <optional>

#include "modelbatch/config/experiment_config.h"
#include "modelbatch/config/table_reader.h"

namespace modelbatch {

// The table `schedule` of `optimizer`; none: there is none. `grid`: as for
// ReadSweep.
std::optional<ScheduleSection> ReadSchedule(TableReader* optimizer,
                                            const DataConfig& data, bool grid);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_SCHEDULE_READER_H_
