// A small experiment for tests: three classes in four dimensions, 120 rows, a
// population of eight.
#ifndef MODELBATCH_TRAIN_TEST_EXPERIMENT_H_
#define MODELBATCH_TRAIN_TEST_EXPERIMENT_H_

#include <string>
#include <vector>

#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_info.h"

namespace modelbatch {

// Writes the data and returns a config that reads it: two widths, two dropout
// rates and two learning rates, three epochs of five steps.
std::string TestConfig();

// The experiment with these overrides.
Experiment TestExperiment(const std::vector<std::string>& overrides = {});

// The overrides that give models 4 to 7 an absurd learning rate: they end in
// non-finite numbers.
std::vector<std::string> ExplodingOverrides();

// What a run on the cpu backend says of itself.
RunInfo TestRunInfo();

// The cpu plugin's backend.
std::unique_ptr<Backend> CpuBackendForTest();

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TEST_EXPERIMENT_H_
