#include "modelbatch/train/export_weights.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

// A disk that is full after some of the models leaves none of them, whichever
// is the last that fits: another attempt finds nothing in its way.
TEST(ExportWeightsTest, AFailureLeavesNoFiles) {
  const std::string root = TestFolder() + "/export";
  fs::remove_all(root);
  Experiment experiment = TestExperiment({"train.epochs=1"});
  experiment.config.train.output = root + "/run";
  const RunFolder folder = *RunFolder::Create(experiment.config);
  RunOptions options;
  options.info = TestRunInfo();
  const std::unique_ptr<Backend> backend = CpuBackendForTest();
  ASSERT_TRUE(
      RunTraining(experiment, backend.get(), folder, options, nullptr).ok());
  auto config = LoadExperiment(folder.config());
  ASSERT_TRUE(config.ok()) << config.status();
  const auto run = LoadTrainedRun(folder, *std::move(config));
  ASSERT_TRUE(run.ok()) << run.status();
  for (const WeightFormat format :
       {WeightFormat::kPyTorch, WeightFormat::kSafetensors}) {
    const std::string whole = root + "/whole";
    fs::remove_all(whole);
    ASSERT_TRUE(ExportWeights(*run, run->usable, format, whole).ok());
    uintmax_t least = 1 << 30, most = 0;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(whole)) {
      least = std::min(least, entry.file_size());
      most = std::max(most, entry.file_size());
      ++files;
    }
    EXPECT_EQ(files, 8);
    ASSERT_LT(least, most);
    const std::string other = root + "/other";
    fs::remove_all(other);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // Larger files cannot be written.
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit = {least, least};
      if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
      _exit(ExportWeights(*run, run->usable, format, other).ok() ? 3 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    EXPECT_TRUE(fs::is_empty(other));
    EXPECT_TRUE(ExportWeights(*run, run->usable, format, other).ok());
  }
}

}  // namespace
}  // namespace modelbatch
