#include "modelbatch/train/complete_schedules.h"

#include <algorithm>
#include <cstddef>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/optim/lr_schedule_info.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kSchedule[] = "optimizer.schedule";

std::string SchedulerPath(const std::string& path, size_t i) {
  return absl::StrCat(path, ".schedulers[", i, "]");
}

// One model's schedule.
class Completion {
 public:
  Completion(const ExperimentConfig& config, int64_t model)
      : config_(config), model_(model) {}

  // The schedule ticks from `begin` until `end`, in ticks of the whole.
  absl::Status Complete(const std::string& path, int64_t begin, int64_t end,
                        LrScheduleSpec* spec) const {
    for (const LrScheduleArgument& argument :
         FindLrSchedule(spec->kind)->arguments) {
      if (!argument.derived) continue;
      const std::string at = absl::StrCat(path, ".", argument.name);
      if (spec->arguments.count(argument.name) > 0) {
        MB_RETURN_IF_ERROR(CheckGiven(at, argument.name, end - begin, *spec));
        continue;
      }
      if (end <= begin) {
        return Error(at, absl::StrCat("is missing, and there are no ticks that "
                                      "it could be: it begins at tick ",
                                      begin, " of ", end));
      }
      spec->arguments[argument.name] = end - begin;
    }
    if (spec->kind == "chained_scheduler") {
      for (size_t i = 0; i < spec->schedulers.size(); ++i) {
        MB_RETURN_IF_ERROR(
            Complete(SchedulerPath(path, i), begin, end, &spec->schedulers[i]));
      }
    }
    return absl::OkStatus();
  }

  // `warmed`: it is the config's schedule after its warm-up.
  absl::Status CompleteSequence(bool warmed, int64_t ticks,
                                LrScheduleSpec* spec) const {
    const std::vector<int64_t> milestones =
        std::get<std::vector<int64_t>>(spec->arguments.at("milestones"));
    for (size_t i = 0; i < spec->schedulers.size(); ++i) {
      if (i > milestones.size()) break;  // LrSchedule says it
      const int64_t begin = i == 0 ? 0 : milestones[i - 1];
      const int64_t end =
          i == milestones.size() ? ticks : std::min(ticks, milestones[i]);
      const std::string path = warmed ? kSchedule : SchedulerPath(kSchedule, i);
      MB_RETURN_IF_ERROR(Complete(path, begin, end, &spec->schedulers[i]));
    }
    return absl::OkStatus();
  }

  absl::Status Error(
      const std::string& path, const std::string& message,
      absl::StatusCode code = absl::StatusCode::kInvalidArgument) const {
    return config_.source.Error(
        path, absl::StrCat("model ", model_, ": ", message), code);
  }

 private:
  // A cycle that is over can not tick.
  absl::Status CheckGiven(const std::string& path, const std::string& name,
                          int64_t ticks, const LrScheduleSpec& spec) const {
    const int64_t given = std::get<int64_t>(spec.arguments.at(name));
    if (spec.kind != "one_cycle_lr" || given >= ticks) return absl::OkStatus();
    return Error(path, absl::StrCat("is ", given, ", but the training has ",
                                    ticks, " ticks for it"));
  }

  const ExperimentConfig& config_;
  int64_t model_;
};

std::string FirstFollowing(const ScheduleConfig& schedule,
                           const std::string& path) {
  for (const LrScheduleArgument& argument :
       FindLrSchedule(schedule.kind)->arguments) {
    if (argument.derived && schedule.numbers.count(argument.name) == 0) {
      return absl::StrCat(path, ".", argument.name);
    }
  }
  for (size_t i = 0; i < schedule.schedulers.size(); ++i) {
    const std::string inner =
        FirstFollowing(schedule.schedulers[i], SchedulerPath(path, i));
    if (!inner.empty()) return inner;
  }
  return "";
}

}  // namespace

absl::Status CompleteSchedules(const ExperimentConfig& config,
                               const std::vector<int64_t>& train_rows,
                               Population* population) {
  if (!config.optimizer.schedule.has_value()) return absl::OkStatus();
  const ScheduleSection& section = *config.optimizer.schedule;
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info,
                      FindOptimizer(config.optimizer.kind));
  for (size_t i = 0; i < population->schedules.size(); ++i) {
    LrScheduleSpec& spec = population->schedules[i];
    const int64_t batch = population->batch_sizes[i];
    const int64_t ticks =
        config.train.epochs *
        (section.every_step ? (train_rows[i] - 1) / batch + 1 : 1);
    const Completion completion(config, population->models[i].id);
    if (spec.kind == "sequential_lr") {
      MB_RETURN_IF_ERROR(
          completion.CompleteSequence(section.kind != spec.kind, ticks, &spec));
    } else {
      MB_RETURN_IF_ERROR(completion.Complete(kSchedule, 0, ticks, &spec));
    }
    const absl::Status status = LrSchedule::Create(spec, *info).status();
    if (!status.ok()) {
      return completion.Error(kSchedule, std::string(status.message()),
                              status.code());
    }
  }
  return absl::OkStatus();
}

std::string ScheduleFollowingEpochs(const ExperimentConfig& config) {
  if (!config.optimizer.schedule.has_value()) return "";
  return FirstFollowing(*config.optimizer.schedule, kSchedule);
}

}  // namespace modelbatch
