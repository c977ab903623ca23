// What was done to single models of a run: frozen, reset, removed, replaced.
// With these a run resumes, and `verify` repeats it for one model.
//
//   for (const Event& event : trainer->state().events) {
//     std::cout << DescribeEvent(event) << "\n";
//   }
#ifndef MODELBATCH_TRAIN_EVENT_H_
#define MODELBATCH_TRAIN_EVENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/optim/optimizer.h"

namespace modelbatch {

enum class EventKind {
  kFreeze,
  kUnfreeze,
  kReset,
  kRemove,
  kReplace,    // by a copy of another model, or of itself
  kEarlyStop,  // a freeze
  kWarning,    // nothing was changed
};

// "freeze", "early_stop", ...
const char* EventKindName(EventKind kind);

struct Event {
  EventKind kind = EventKind::kWarning;
  int64_t step = 0;        // steps done when it happened
  int64_t epoch = 1;       // the one it happened in, counted from 1
  bool epoch_end = false;  // after that epoch's evaluation
  int64_t model = 0;       // id; of a replaced model, that of before
  std::string reason;
  // Done by train.on_nan or train.early_stopping: training does it again by
  // itself. All others are the program's.
  bool built_in = false;
  uint64_t seed = 0;  // kReset, kReplace: the new one
  // kReplace: the id of the model that was copied, the copy's, and what differs
  // from the source's hyper-parameters.
  int64_t source = 0;
  int64_t copy = 0;
  OptimizerConfig changes;
  // A fingerprint of the model: weights, optimizer state, step count, seed,
  // hyper-parameters, schedule. Of a copy as it begins, of a reset one before
  // and after.
  uint64_t fingerprint = 0;

  // Epochs finished when it happened.
  int64_t epochs_finished() const { return epoch_end ? epoch : epoch - 1; }
};

// "reset of model 5 at step 8: non-finite loss"
std::string DescribeEvent(const Event& event);

// "2 freezes, 1 reset"; empty without events.
std::string CountEvents(const std::vector<Event>& events);

// The first field in which they differ, and both values: "seed is 3 in the run,
// 4 alone"; empty when they are equal.
std::string EventDifference(const Event& run, const Event& alone);

// One JSON object in one line, and back. InvalidArgument names the field.
std::string EventToJson(const Event& event);
absl::StatusOr<Event> EventFromJson(const std::string& json);

// A JSON array, and back. InvalidArgument names the event, by its place from 1,
// and the field.
std::string EventsToJson(const std::vector<Event>& events);
absl::StatusOr<std::vector<Event>> EventsFromJson(const std::string& json);

// Given the ids of a run's models after `events`, those before them.
// InvalidArgument names an event that cannot have happened.
absl::StatusOr<std::vector<int64_t>> IdsBefore(const std::vector<Event>& events,
                                               std::vector<int64_t> ids);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_EVENT_H_
