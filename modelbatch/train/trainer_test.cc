#include "modelbatch/train/trainer.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/test_experiment.h"

namespace modelbatch {
namespace {

// The one that refuses it is the cpu's Compile.
TEST(TrainerTest, ThePrecisionReachesTheBackend) {
  const Experiment experiment =
      TestExperiment({"backend={name=\"cpu\", precision=\"bf16\"}"});
  FailingBackend backend(CpuBackendForTest());
  backend.mutable_capabilities()->precisions.push_back("bf16");
  const absl::Status status = Trainer::Create(&experiment, &backend).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr(
                  "precision \"bf16\" is not in this backend; it has: fp32"));
}

TEST(TrainerTest, StepsEpochsAndCurves) {
  const Experiment experiment = TestExperiment();
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  EXPECT_EQ((*trainer)->steps_per_epoch(), 5);  // 72 rows by 16
  int steps = 0;
  while (!(*trainer)->finished()) {
    ASSERT_TRUE((*trainer)->Step().ok());
    ++steps;
    const StepReport& report = (*trainer)->last_step();
    EXPECT_EQ(report.epoch_finished, steps % 5 == 0);
    // 16 rows, 8 in the last batch, for each of eight models.
    EXPECT_EQ(report.model_rows, 8 * (steps % 5 == 0 ? 8 : 16));
    EXPECT_LE(report.min_loss, report.max_loss);
  }
  EXPECT_EQ(steps, 15);
  EXPECT_FALSE((*trainer)->Step().ok());
  const TrainState& state = (*trainer)->state();
  ASSERT_EQ(state.curves.size(), 3u);
  for (int i = 0; i < 8; ++i) {
    // It learns: three classes, so a guess costs log 3.
    EXPECT_LT(state.curves[2].train_loss[i], state.curves[0].train_loss[i]);
    EXPECT_LT(state.curves[2].validation[i].loss, std::log(3.0));
    EXPECT_GE(state.models[i].best_epoch, 1);
    EXPECT_EQ(state.models[i].best.size(), 4u);
  }
}

// A program that goes on after an error of the backend ends as if there had
// been none: an epoch is finished as a whole or not at all.
TEST(TrainerTest, AFailingEvaluationIsMadeAgain) {
  const Experiment experiment = TestExperiment(
      {"optimizer.schedule={kind=\"exponential_lr\", gamma=0.5}"});
  const auto cpu = CpuBackendForTest();
  auto calm = Trainer::Create(&experiment, cpu.get());
  ASSERT_TRUE(calm.ok()) << calm.status();
  while (!(*calm)->finished()) ASSERT_TRUE((*calm)->Step().ok());
  // The evaluation of the validation rows, that of the test rows, the reading
  // of the last weights; in the first epoch and in the last.
  for (const auto& [call, passes] :
       {std::pair("Evaluate", 0), std::pair("Evaluate", 1),
        std::pair("ReadState", 31)}) {
    for (const int step : {5, 15}) {
      FailingBackend backend(CpuBackendForTest());
      auto created = Trainer::Create(&experiment, &backend);
      ASSERT_TRUE(created.ok()) << created.status();
      Trainer& trainer = **created;
      for (int i = 1; i < step; ++i) ASSERT_TRUE(trainer.Step().ok());
      const int64_t epochs = trainer.state().epoch;
      // Eight models of four tensors; all improve in the first epoch.
      if (step == 5 || passes < 2) backend.FailNext(call, passes);
      const absl::Status status = trainer.Step();
      if (step == 15 && status.ok()) continue;  // none improved
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
      EXPECT_EQ(trainer.state().step, step);
      EXPECT_EQ(trainer.state().epoch, epochs);
      EXPECT_EQ(trainer.state().curves.size(), static_cast<size_t>(epochs));
      EXPECT_FALSE(trainer.finished());
      ASSERT_TRUE(trainer.Step().ok());
      EXPECT_TRUE(trainer.last_step().epoch_finished);
      EXPECT_EQ(trainer.last_step().model_rows, 0);
      EXPECT_EQ(trainer.state().step, step);
      while (!trainer.finished()) ASSERT_TRUE(trainer.Step().ok());
      ASSERT_EQ(trainer.state().curves.size(), 3u);
      for (int i = 0; i < 8; ++i) {
        for (size_t e = 0; e < 3; ++e) {
          const EpochCurve& a = (*calm)->state().curves[e];
          const EpochCurve& b = trainer.state().curves[e];
          EXPECT_EQ(a.train_loss[i], b.train_loss[i]);
          EXPECT_EQ(a.validation[i].loss, b.validation[i].loss);
          EXPECT_EQ(a.lr[i], b.lr[i]);
        }
        const ModelRecord& a = (*calm)->state().models[i];
        const ModelRecord& b = trainer.state().models[i];
        EXPECT_EQ(a.best_epoch, b.best_epoch);
        EXPECT_EQ(a.best_test.loss, b.best_test.loss);
        for (const auto& [name, tensor] : a.best) {
          ASSERT_EQ(std::memcmp(tensor.raw(), b.best.at(name).raw(),
                                tensor.byte_size()),
                    0);
        }
      }
    }
  }
}

// The best epoch is the one the curves show, whatever select says.
TEST(TrainerTest, SelectsByWhatTheConfigSays) {
  for (const char* select :
       {"validation_accuracy", "validation_loss", "last"}) {
    const Experiment experiment =
        TestExperiment({std::string("train.select=") + select,
                        "train.epochs=12", "optimizer.lr.values=[0.1, 0.3]"});
    const auto backend = CpuBackendForTest();
    auto trainer = Trainer::Create(&experiment, backend.get());
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
    const TrainState& state = (*trainer)->state();
    for (int i = 0; i < 8; ++i) {
      size_t best = 0;
      for (size_t e = 1; e < state.curves.size(); ++e) {
        const Score& a = state.curves[e].validation[i];
        const Score& b = state.curves[best].validation[i];
        const bool better =
            select == std::string("last") ||
            (select == std::string("validation_loss")
                 ? a.loss < b.loss
                 : a.correct > b.correct ||
                       (a.correct == b.correct && a.loss < b.loss));
        if (better) best = e;
      }
      EXPECT_EQ(state.models[i].best_epoch, static_cast<int64_t>(best) + 1);
      EXPECT_EQ(state.models[i].best_validation.loss,
                state.curves[best].validation[i].loss);
    }
  }
}

// A model that explodes is frozen; nothing changes for the others.
TEST(TrainerTest, FreezesNonFiniteModelsOnly) {
  const auto backend = CpuBackendForTest();
  const Experiment calm =
      TestExperiment({"optimizer={kind=\"sgd\", lr={values=[0.05, 0.06]}}"});
  const Experiment mixed = TestExperiment(ExplodingOverrides());
  auto a = Trainer::Create(&calm, backend.get());
  auto b = Trainer::Create(&mixed, backend.get());
  ASSERT_TRUE(a.ok() && b.ok());
  while (!(*a)->finished()) ASSERT_TRUE((*a)->Step().ok());
  while (!(*b)->finished()) ASSERT_TRUE((*b)->Step().ok());
  EXPECT_EQ((*b)->num_active(), 4);
  const TrainState& state = (*b)->state();
  EXPECT_EQ(state.epoch, 3);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(state.models[i].frozen(), i >= 4);
    if (i >= 4) {
      EXPECT_TRUE(std::isnan(state.curves[2].train_loss[i]));
      EXPECT_EQ(state.curves[2].validation[i].correct, -1);
      continue;
    }
    for (int e = 0; e < 3; ++e) {
      EXPECT_EQ(state.curves[e].train_loss[i],
                (*a)->state().curves[e].train_loss[i]);
    }
  }
}

// With batches of 16 and 40 rows of 72, epochs have five steps, of which the
// models with the larger batch make two and wait.
TEST(TrainerTest, ModelsHaveBatchSizesOfTheirOwn) {
  const Experiment experiment =
      TestExperiment({"train.batch_size={values=[40, 16]}"});
  ASSERT_EQ(experiment.population.size(), 16);
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  EXPECT_EQ((*trainer)->steps_per_epoch(), 5);
  const int64_t rows[] = {40 + 16, 32 + 16, 16, 16, 8};
  for (int step = 0; !(*trainer)->finished(); ++step) {
    ASSERT_TRUE((*trainer)->Step().ok());
    EXPECT_EQ((*trainer)->last_step().model_rows, 8 * rows[step % 5]);
    EXPECT_EQ((*trainer)->last_step().epoch_finished, step % 5 == 4);
  }
  EXPECT_EQ((*trainer)->state().step, 15);
  for (int i = 0; i < 16; ++i) {
    const int64_t size = experiment.population.batch_sizes[i];
    EXPECT_EQ(size, i % 2 == 0 ? 40 : 16);
    const auto state = (*trainer)->batch().GetModelState(i);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ(state->step, size == 40 ? 6 : 15);
    // Alone, and without waiting for anyone, it ends with the same bits.
    Experiment single = SingleModel(experiment, i);
    single.steps_per_epoch = size == 40 ? 2 : 5;
    auto alone = Trainer::Create(&single, backend.get());
    ASSERT_TRUE(alone.ok()) << alone.status();
    while (!(*alone)->finished()) ASSERT_TRUE((*alone)->Step().ok());
    EXPECT_EQ((*alone)->state().step, state->step);
    const auto weights = (*alone)->batch().GetModelState(0);
    ASSERT_TRUE(weights.ok()) << weights.status();
    for (const auto& [slot, tensors] : weights->slots) {
      for (const auto& [name, tensor] : tensors) {
        const Tensor& other = state->slots.at(slot).at(name);
        EXPECT_EQ(std::memcmp(tensor.raw(), other.raw(), tensor.byte_size()), 0)
            << i << ": " << slot << " " << name;
      }
    }
    for (int epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ((*alone)->state().curves[epoch].train_loss[0],
                (*trainer)->state().curves[epoch].train_loss[i]);
      EXPECT_EQ((*alone)->state().curves[epoch].validation[0].loss,
                (*trainer)->state().curves[epoch].validation[i].loss);
    }
  }
}

TEST(TrainerTest, EndsWhenAllAreFrozen) {
  const Experiment experiment =
      TestExperiment({"optimizer={kind=\"sgd\", lr=1e30}"});
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok());
  while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
  EXPECT_EQ((*trainer)->num_active(), 0);
  EXPECT_LT((*trainer)->state().step, 15);
}

TEST(TrainerTest, Regression) {
  const Experiment experiment =
      TestExperiment({"data.task=regression", "data.label=[3, 4]",
                      "model.layers[3].out_features=2"});
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
  const TrainState& state = (*trainer)->state();
  EXPECT_EQ(state.models[0].best_validation.correct, -1);
  EXPECT_LT(state.curves[2].train_loss[0], state.curves[0].train_loss[0]);
}

}  // namespace
}  // namespace modelbatch
