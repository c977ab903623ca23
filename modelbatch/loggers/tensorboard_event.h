// The few of TensorBoard's messages that are written here, in protobuf's wire
// format. By hand: two messages of numbers and strings against a code generator
// and a runtime in everything that links this. Field numbers are those of
// tensorboard/compat/proto/{event,summary}.proto and
// tensorboard/plugins/hparams/{plugin_data,api}.proto.
//
// Private to loggers/.
#ifndef MODELBATCH_LOGGERS_TENSORBOARD_EVENT_H_
#define MODELBATCH_LOGGERS_TENSORBOARD_EVENT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {

// What a file begins with. `time` is in seconds since 1970.
std::string VersionEvent(double time);

// Scalars by their tags.
std::string ScalarsEvent(double time, int64_t step,
                         const std::vector<std::pair<std::string, float>>& all);

// What the HParams page shows of a run. InvalidArgument names a value that is a
// list, which the page has no place for.
absl::StatusOr<std::string> HyperParametersEvent(double time, int64_t step,
                                                 const Attributes& values);

struct EventInfo {
  int64_t step = 0;
  bool hyper_parameters = false;
};

// DataLoss when it is no event.
absl::StatusOr<EventInfo> ReadEvent(std::string_view event);

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_TENSORBOARD_EVENT_H_
