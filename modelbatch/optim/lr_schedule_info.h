// What each learning-rate schedule is called and which arguments it has: the
// table that the config and LrSchedule share. Names, arguments and defaults are
// those of torch.optim.lr_scheduler (2.11); a kind is the class's name in
// snake_case.
#ifndef MODELBATCH_OPTIM_LR_SCHEDULE_INFO_H_
#define MODELBATCH_OPTIM_LR_SCHEDULE_INFO_H_

#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {

struct LrScheduleArgument {
  enum class Type { kInt, kFloat, kBool, kString, kIntList };

  std::string name;
  Type type;
  AttributeValue default_value;  // not looked at when required or derived
  bool required = false;
  // Numbers, and each of a list: both ends included, the lower unless open.
  double min = 0;
  double max = std::numeric_limits<double>::max();
  bool min_open = false;
  bool max_open = false;
  std::vector<std::string> choices = {};  // kString; empty: any but ""
  // An experiment may leave it out: it is then how often the schedule ticks.
  bool derived = false;

  // InvalidArgument: has another type (an integer is taken for a number, never
  // the reverse) or lies outside of the range.
  absl::Status Check(const AttributeValue& value) const;
  // The same for a number alone, of kInt, kFloat, kBool (0 or 1) or a list.
  absl::Status CheckNumber(double value) const;
};

struct LrScheduleInfo {
  std::string kind;  // "cosine_annealing_lr"
  std::vector<LrScheduleArgument> arguments;
  bool has_schedulers = false;  // made of others

  // Null: it has none of this name.
  const LrScheduleArgument* Find(const std::string& name) const;
};

const std::vector<LrScheduleInfo>& LrSchedules();

// Null: there is none.
const LrScheduleInfo* FindLrSchedule(const std::string& kind);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_LR_SCHEDULE_INFO_H_
