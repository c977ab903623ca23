#include "modelbatch/train/verify.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The checkpoint after `steps` steps.
Checkpoint CheckpointAfter(const Experiment& experiment, Backend* backend,
                           int steps) {
  const std::string path = TestFolder() + "/verify.safetensors";
  auto trainer = Trainer::Create(&experiment, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  while (steps-- > 0 && !(*trainer)->finished()) {
    EXPECT_TRUE((*trainer)->Step().ok());
  }
  EXPECT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  auto checkpoint = ReadCheckpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return *std::move(checkpoint);
}

// Finished or in mid-epoch, next to models that explode or not, every model is
// what it is alone.
TEST(VerifyModelTest, EveryModelEqualsItselfAlone) {
  const auto backend = CpuBackendForTest();
  for (const bool explode : {false, true}) {
    const Experiment experiment = TestExperiment(
        explode ? ExplodingOverrides() : std::vector<std::string>{});
    for (int steps : {7, 1000}) {
      const Checkpoint checkpoint =
          CheckpointAfter(experiment, backend.get(), steps);
      for (int id = 0; id < 8; ++id) {
        const auto report =
            VerifyModel(experiment, checkpoint, id, backend.get());
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_TRUE(report->passed) << id << ": " << report->text;
        EXPECT_THAT(report->text, StartsWith("equal bit for bit: "));
      }
    }
  }
}

// Where models wait for one another: in mid-epoch, just through, waiting, with
// the one that takes longest frozen (models 1, 3, ... of the exploding ones).
TEST(VerifyModelTest, EveryModelEqualsItselfAloneWithItsBatchSize) {
  const auto backend = CpuBackendForTest();
  for (const bool explode : {false, true}) {
    std::vector<std::string> overrides =
        explode ? ExplodingOverrides() : std::vector<std::string>{};
    overrides.push_back("train.batch_size={values=[40, 16]}");
    const Experiment experiment = TestExperiment(overrides);
    for (int steps : {6, 7, 9, 1000}) {
      const Checkpoint checkpoint =
          CheckpointAfter(experiment, backend.get(), steps);
      for (int id = 0; id < 16; id += 3) {
        const auto report =
            VerifyModel(experiment, checkpoint, id, backend.get());
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_TRUE(report->passed)
            << steps << " steps, " << id << ": " << report->text;
      }
    }
  }
}

// A run resumed where some models wait ends as one that was never stopped.
TEST(VerifyModelTest, AResumedRunWithBatchSizesEqualsEachModelAlone) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"train.batch_size={values=[40, 16]}"});
  Checkpoint stopped = CheckpointAfter(experiment, backend.get(), 8);
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  ASSERT_TRUE(
      (*trainer)->Restore(std::move(stopped.state), stopped.models).ok());
  while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
  const std::string path = TestFolder() + "/resumed.safetensors";
  ASSERT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  const auto checkpoint = ReadCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (int id = 0; id < 16; ++id) {
    const auto report = VerifyModel(experiment, *checkpoint, id, backend.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->passed) << id << ": " << report->text;
  }
}

// A backend whose sums depend on the number of models is found out.
TEST(VerifyModelTest, NoticesABackendThatMixesModels) {
  auto broken = CreateBackend("tests/independence/libmodelbatch_broken.so");
  ASSERT_TRUE(broken.ok()) << broken.status();
  const Experiment experiment = TestExperiment();
  const Checkpoint checkpoint =
      CheckpointAfter(experiment, broken->get(), 1000);
  const auto report = VerifyModel(experiment, checkpoint, 2, broken->get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->passed);
  EXPECT_THAT(report->text, StartsWith("differs: "));
  EXPECT_THAT(report->text, HasSubstr(" in the run, "));
}

// One changed bit in any part of the checkpoint is named.
TEST(VerifyModelTest, NamesTheFirstDifference) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto text_after = [&](void (*change)(Checkpoint*)) {
    Checkpoint checkpoint = CheckpointAfter(experiment, backend.get(), 1000);
    change(&checkpoint);
    const auto report = VerifyModel(experiment, checkpoint, 2, backend.get());
    EXPECT_TRUE(report.ok()) << report.status();
    EXPECT_FALSE(report->passed);
    return report->text;
  };
  // 32 weights of shape [8, 4]: element 13 lies at [3, 1].
  const std::string weight = text_after([](Checkpoint* c) {
    auto* bits = static_cast<uint32_t*>(
        c->models[2].slots["param"].at("0.weight").raw());
    bits[13] = 0x3f800000;
  });
  EXPECT_THAT(weight, StartsWith("differs: param 0.weight[3, 1]: 0x3f800000 "
                                 "(1) in the run, 0x"));
  EXPECT_THAT(weight, HasSubstr("; 1 of 32 elements differ, by "));
  EXPECT_THAT(text_after([](Checkpoint* c) {
                auto& moments = c->models[2].slots["exp_avg_sq"];
                static_cast<uint8_t*>(moments.at("3.bias").raw())[0] ^= 1;
              }),
              StartsWith("differs: exp_avg_sq 3.bias[0]: 0x"));
  EXPECT_EQ(text_after([](Checkpoint* c) { c->models[2].step = 14; }),
            "differs: step count: 14 in the run, 15 alone");
  EXPECT_THAT(
      text_after([](Checkpoint* c) { c->state.curves[1].train_loss[2] = 0.5; }),
      StartsWith("differs: epoch 2: training loss: 0x3fe0000000000000 "
                 "(0.5) in the run, 0x"));
  EXPECT_THAT(text_after([](Checkpoint* c) {
                c->state.models[2].best_test.correct = 0;
              }),
              StartsWith("differs: best test correct rows: 0 in the run, "));
}

TEST(VerifyModelTest, UnknownModel) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const Checkpoint checkpoint = CheckpointAfter(experiment, backend.get(), 1);
  const auto report = VerifyModel(experiment, checkpoint, 8, backend.get());
  EXPECT_EQ(report.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(report.status().message(),
            "the run has no model 8, expected 0 to 7");
}

}  // namespace
}  // namespace modelbatch
