// What the events of a run make of its population: seeds after a reset, copies
// in the place of models.
#ifndef MODELBATCH_TRAIN_POPULATION_EVENTS_H_
#define MODELBATCH_TRAIN_POPULATION_EVENTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/event.h"

namespace modelbatch {

// One event. `model` and `from` (of a replacement) are places in the
// population.
void ChangePopulation(const Event& event, int model, int from,
                      Population* population);

// All in order. InvalidArgument names an event that cannot have happened: of
// a model that is not there, or was removed.
absl::StatusOr<Population> PopulationAfter(const std::vector<Event>& events,
                                           Population population);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_POPULATION_EVENTS_H_
