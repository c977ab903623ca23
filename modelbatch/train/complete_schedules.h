// Learning-rate schedules whose length is that of the training: fills in what
// the config leaves out (T_max of cosine_annealing_lr, total_steps of
// one_cycle_lr), model by model.
#ifndef MODELBATCH_TRAIN_COMPLETE_SCHEDULES_H_
#define MODELBATCH_TRAIN_COMPLETE_SCHEDULES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/search/population.h"

namespace modelbatch {

// `train_rows`: of each model. Every schedule is checked, also for ending
// before the training does. Errors name file, line, key and model;
// FailedPrecondition: a function of lambda_lr is not registered.
absl::Status CompleteSchedules(const ExperimentConfig& config,
                               const std::vector<int64_t>& train_rows,
                               Population* population);

// The path of a number that follows train.epochs, as the config leaves it out:
// "optimizer.schedule.T_max". Empty: there is none.
std::string ScheduleFollowingEpochs(const ExperimentConfig& config);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_COMPLETE_SCHEDULES_H_
