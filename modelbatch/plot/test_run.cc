#include "modelbatch/plot/test_run.h"

#include <utility>

#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/results_reader.h"

namespace modelbatch {

RunRecord TestRun(const std::string& results_csv,
                  const std::string& curves_csv) {
  RunRecord run;
  run.folder = "runs/test-1";
  run.config_text = R"(name = "test"
[data]
path = "data.csv"
[model]
layers = [
  { kind = "linear", out_features = { min = 1, max = 1000, count = 4 } },
  { kind = "linear", out_features = 3 },
]
[optimizer]
lr = { min = 0.001, max = 0.01, scale = "log", count = 4 }
[train]
epochs = 3
)";
  auto config = ParseExperiment(run.config_text, "config.resolved.toml");
  EXPECT_TRUE(config.ok()) << config.status();
  if (config.ok()) run.config = *std::move(config);
  auto results = ParseResults(results_csv, "results.csv");
  EXPECT_TRUE(results.ok()) << results.status();
  if (results.ok()) run.results = *std::move(results);
  auto curves = ParseCurves(curves_csv, "curves.csv");
  EXPECT_TRUE(curves.ok()) << curves.status();
  if (curves.ok()) run.curves = *std::move(curves);
  run.summary.name = "test";
  run.summary.finished = true;
  run.summary.selected_by = "validation_accuracy";
  return run;
}

}  // namespace modelbatch
