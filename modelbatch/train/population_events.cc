#include "modelbatch/train/population_events.h"

#include <cstddef>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

constexpr char kOptimizerPath[] = "optimizer.";

void CopyModel(const Event& event, int model, int from,
               Population* population) {
  population->models[model] = {event.copy, event.seed,
                               population->models[from].spec};
  population->layouts[model] = population->layouts[from];
  population->batch_sizes[model] = population->batch_sizes[from];
  population->folds[model] = population->folds[from];
  population->settings[model] = -1;
  if (!population->initial.empty()) {
    population->initial[model] = population->initial[from];
  }
  if (!population->schedules.empty()) {
    population->schedules[model] = population->schedules[from];
  }
  OptimizerConfig config = population->optimizers[from];
  for (const auto& [name, value] : event.changes) config[name] = value;
  population->optimizers[model] = std::move(config);
  for (SweptField& field : population->fields) {
    field.values[model] = field.values[from];
    for (const auto& [name, value] : event.changes) {
      if (field.path == kOptimizerPath + name) field.values[model] = value;
    }
  }
}

// Where the model with this id lies; -1: nowhere.
int PlaceOf(const Population& population, int64_t id) {
  for (int i = 0; i < population.size(); ++i) {
    if (population.models[i].id == id) return i;
  }
  return -1;
}

}  // namespace

void ChangePopulation(const Event& event, int model, int from,
                      Population* population) {
  if (event.kind == EventKind::kReset) {
    population->models[model].seed = event.seed;
  } else if (event.kind == EventKind::kReplace) {
    CopyModel(event, model, from, population);
  }
}

absl::StatusOr<Population> PopulationAfter(const std::vector<Event>& events,
                                           Population population) {
  std::set<int64_t> removed;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    const auto error = [&](const std::string& message) {
      return absl::InvalidArgumentError(absl::StrCat(
          "event ", i + 1, ", ", DescribeEvent(event), ": ", message));
    };
    const bool replace = event.kind == EventKind::kReplace;
    const int model = PlaceOf(population, event.model);
    const int from = replace ? PlaceOf(population, event.source) : model;
    for (const auto& [place, id] :
         {std::pair(model, event.model),
          std::pair(from, replace ? event.source : event.model)}) {
      if (place < 0) return error(absl::StrCat("there is no model ", id));
    }
    if (removed.count(population.models[from].id) > 0) {
      return error(absl::StrCat("model ", population.models[from].id,
                                " was removed before"));
    }
    if (replace && PlaceOf(population, event.copy) >= 0) {
      return error(absl::StrCat("there is a model ", event.copy, " already"));
    }
    if (event.kind == EventKind::kRemove) removed.insert(event.model);
    ChangePopulation(event, model, from, &population);
  }
  return population;
}

}  // namespace modelbatch
