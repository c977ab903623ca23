#include "modelbatch/train/test_experiment.h"

#include <fstream>
#include <utility>

#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {

std::string TestConfig() {
  const std::string path = TestFolder() + "/blobs.csv";
  std::ofstream out(path);
  for (int row = 0; row < 120; ++row) {
    const int label = row % 3;
    for (int i = 0; i < 4; ++i) {
      // Uniform noise of width 2 around a corner of its class.
      const float noise = UniformFloat(PhiloxDraw(
          1, RandomPurpose::kSweep, 0, row, static_cast<uint64_t>(i)));
      out << (i == label ? 1.0f : 0.0f) + 2 * noise - 1 << ",";
    }
    out << label << "\n";
  }
  return R"(name = "blobs"
seed = 3
[data]
path = ")" +
         path + R"("
[data.split]
train = 0.6
validation = 0.2
test = 0.2
[model]
layers = [
  { kind = "linear", out_features = { values = [5, 8] } },
  { kind = "relu" },
  { kind = "dropout", p = { values = [0.0, 0.3] } },
  { kind = "linear", out_features = 3 },
]
[optimizer]
kind = "adam"
lr = { values = [0.01, 0.03] }
[train]
epochs = 3
batch_size = 16
checkpoint_every = 1
)";
}

Experiment TestExperiment(const std::vector<std::string>& overrides) {
  auto config = ParseExperiment(TestConfig(), "blobs.toml", overrides);
  if (!config.ok()) {
    ADD_FAILURE() << config.status();
    return Experiment();
  }
  auto experiment = PrepareExperiment(*std::move(config));
  if (!experiment.ok()) {
    ADD_FAILURE() << experiment.status();
    return Experiment();
  }
  return *std::move(experiment);
}

std::vector<std::string> ExplodingOverrides() {
  return {"optimizer={kind=\"sgd\", lr={values=[0.05, 1e30]}}"};
}

RunInfo TestRunInfo() {
  RunInfo info = RunInfo::OfThisMachine();
  info.backend = "cpu";
  info.backend_build_id = "build";
  return info;
}

std::unique_ptr<Backend> CpuBackendForTest() {
  auto backend = CreateBackend("cpu");
  if (backend.ok()) return *std::move(backend);
  ADD_FAILURE() << backend.status();
  return nullptr;
}

}  // namespace modelbatch
