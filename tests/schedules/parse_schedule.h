// A learning-rate schedule from JSON: {"kind", "arguments", "schedulers"}.
#ifndef TESTS_SCHEDULES_PARSE_SCHEDULE_H_
#define TESTS_SCHEDULES_PARSE_SCHEDULE_H_

#include "modelbatch/optim/lr_schedule.h"
#include "nlohmann/json.hpp"

namespace modelbatch {

LrScheduleSpec ParseSchedule(const nlohmann::json& json);

}  // namespace modelbatch

#endif  // TESTS_SCHEDULES_PARSE_SCHEDULE_H_
