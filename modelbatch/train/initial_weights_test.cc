// Weights that a run begins with. From PyTorch's files: tests/interop.
#include "modelbatch/train/initial_weights.h"

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/batch/weight_file.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/train/verify.h"
#include "modelbatch/util/status_macros.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Files for the eight models of TestExperiment: model i has i + 1 everywhere.
std::string WriteFiles(const std::string& name) {
  const Experiment plain = TestExperiment();
  const std::string folder = TestFolder() + "/" + name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (int i = 0; i < 8; ++i) {
    std::vector<Tensor> values;
    for (const Parameter& p : plain.population.layouts[i].parameters) {
      Tensor value = Tensor::Zeros(DType::kFloat32, p.shape);
      for (int64_t e = 0; e < value.size(); ++e) {
        value.data<float>()[e] = static_cast<float>(i + 1);
      }
      values.push_back(std::move(value));
    }
    std::vector<NamedTensor> named;
    for (size_t p = 0; p < values.size(); ++p) {
      named.push_back(
          {plain.population.layouts[i].parameters[p].name, &values[p]});
    }
    EXPECT_TRUE(
        WriteSafetensors(
            folder + "/model_" + std::to_string(i) + ".safetensors", named, {})
            .ok());
  }
  return folder;
}

Experiment From(const std::string& path, std::vector<std::string> more = {}) {
  more.push_back("train.init_from=" + path);
  return TestExperiment(more);
}

float FirstWeight(Trainer& trainer, int model) {
  const auto value = trainer.batch().GetParameter(model, "0.weight");
  EXPECT_TRUE(value.ok()) << value.status();
  return value->data<float>()[0];
}

TEST(InitialWeightsTest, ModelsBeginWithTheirFiles) {
  const Experiment experiment = From(WriteFiles("begin"));
  const auto backend = CpuBackendForTest();
  const auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(FirstWeight(**trainer, i), static_cast<float>(i + 1));
  }
  EXPECT_NE(experiment.initial_fingerprint, 0u);
  EXPECT_EQ(TestExperiment().initial_fingerprint, 0u);
  // A single model begins with its own.
  const Experiment single = SingleModel(experiment, 5);
  const auto alone = Trainer::Create(&single, backend.get());
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(FirstWeight(**alone, 0), 6);
}

// A reset begins again with the file, a copy's reset with that of its source;
// resets of several at once too.
TEST(InitialWeightsTest, ResetsBeginAgainWithTheFiles) {
  const Experiment experiment = From(WriteFiles("resets"));
  const auto backend = CpuBackendForTest();
  const auto created = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(created.ok()) << created.status();
  Trainer& trainer = **created;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(trainer.Step().ok());
  EXPECT_NE(FirstWeight(trainer, 2), 3);
  ASSERT_TRUE(
      trainer.Reset(2, trainer.batch().model(2).seed, "same seed").ok());
  EXPECT_EQ(FirstWeight(trainer, 2), 3);
  ASSERT_TRUE(trainer.Reset(3, 77, "another").ok());
  EXPECT_EQ(FirstWeight(trainer, 3), 4);
  ASSERT_TRUE(trainer.Replace(7, 4, 5, {}, "copy").ok());
  EXPECT_EQ(FirstWeight(trainer, 7), FirstWeight(trainer, 4));
  const std::vector<ResetRequest> both = {{7, 8, "a"}, {0, 9, "b"}};
  ASSERT_TRUE(trainer.Reset(both).ok());
  EXPECT_EQ(FirstWeight(trainer, 7), 5);
  EXPECT_EQ(FirstWeight(trainer, 0), 1);
}

TEST(InitialWeightsTest, EveryModelEqualsItselfAlone) {
  const Experiment experiment =
      From(WriteFiles("verify"),
           {"train.on_nan=reset",
            "optimizer={kind=\"sgd\", lr={values=[0.01, 1e30]}}"});
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  ScriptedCallback script;
  script.AtStep(4, [](Trainer* t) {
    MB_RETURN_IF_ERROR(t->Replace(1, 2, 5, {{"lr", 0.02}}, "copy").status());
    return t->Reset(3, 9, "again");
  });
  (*trainer)->AddCallback(&script);
  while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
  const std::string path = TestFolder() + "/verify.safetensors";
  ASSERT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  const auto checkpoint = ReadCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (const int64_t id : checkpoint->ids) {
    const auto report = VerifyModel(experiment, *checkpoint, id, backend.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->passed) << id << ": " << report->text;
  }
  // Other weights are another run.
  fs::copy(TestFolder() + "/verify/model_1.safetensors",
           TestFolder() + "/verify/model_0.safetensors",
           fs::copy_options::overwrite_existing);
  const Experiment other = From(TestFolder() + "/verify",
                                {"train.on_nan=reset",
                                 "optimizer={kind=\"sgd\", lr={values=[0.01, "
                                 "1e30]}}"});
  const absl::Status differs = CheckBelongs(*checkpoint, other);
  EXPECT_THAT(std::string(differs.message()),
              HasSubstr("the initial weights are not those of the checkpoint"));
}

// The run's folder has copies, and its config names them from where it is.
TEST(InitialWeightsTest, ARunHoldsWhatItBeganWith) {
  const std::string files = WriteFiles("copied");
  const Experiment experiment = From(files);
  ExperimentConfig config = experiment.config;
  config.train.output = TestFolder() + "/run";
  fs::remove_all(config.train.output);
  ASSERT_TRUE(RunFolder::Create(config, &experiment.population).ok());
  fs::remove_all(files);
  fs::remove_all(TestFolder() + "/moved");
  fs::rename(config.train.output, TestFolder() + "/moved");
  const auto own = LoadExperiment(TestFolder() + "/moved/config.resolved.toml");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->train.init_from, TestFolder() + "/moved/initial");
  EXPECT_EQ(ConfigFingerprint(*own), ConfigFingerprint(experiment.config));
  EXPECT_NE(ConfigFingerprint(*own),
            ConfigFingerprint(TestExperiment().config));
  const auto again = PrepareExperiment(*own);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->initial_fingerprint, experiment.initial_fingerprint);
}

TEST(InitialWeightsTest, FilesOfTheUserAreLeft) {
  const std::string output = TestFolder() + "/occupied";
  fs::remove_all(output);
  fs::create_directories(output);
  const std::string files = WriteFiles("occupied/initial");
  const Experiment experiment = From(files);
  ExperimentConfig config = experiment.config;
  config.train.output = output;
  const absl::Status status =
      RunFolder::Create(config, &experiment.population).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_TRUE(ReadInitialWeights(files, experiment.population).ok());
  EXPECT_FALSE(fs::exists(output + "/config.resolved.toml"));
}

}  // namespace
}  // namespace modelbatch
