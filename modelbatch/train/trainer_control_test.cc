// What is done to single models, and that nobody else notices.
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Trainer> Start(const Experiment& experiment, Backend* backend) {
  auto trainer = Trainer::Create(&experiment, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return *std::move(trainer);
}

void Steps(Trainer* trainer, int count) {
  for (int i = 0; i < count; ++i) {
    const absl::Status status = trainer->Step();
    ASSERT_TRUE(status.ok()) << status;
  }
}

ModelState StateOf(Trainer* trainer, int model) {
  auto state = trainer->batch().GetModelState(model);
  EXPECT_TRUE(state.ok()) << state.status();
  return *std::move(state);
}

void ExpectSameState(const ModelState& a, const ModelState& b) {
  EXPECT_EQ(a.step, b.step);
  ASSERT_EQ(a.slots.size(), b.slots.size());
  for (const auto& [slot, tensors] : a.slots) {
    for (const auto& [name, tensor] : tensors) {
      const Tensor& other = b.slots.at(slot).at(name);
      ASSERT_EQ(tensor.shape(), other.shape());
      EXPECT_EQ(std::memcmp(tensor.raw(), other.raw(), tensor.byte_size()), 0)
          << slot << " " << name;
    }
  }
}

// Amid removals, compactions, resets and copies, a model that nothing was done
// to ends as in a run of its own; so does one until it is frozen.
TEST(TrainerControlTest, TheOtherModelsEndWithTheSameBits) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto eventful = Start(experiment, backend.get());
  ScriptedCallback script = EventfulScript();
  eventful->AddCallback(&script);
  Steps(eventful.get(), 15);
  const auto alone = Start(SingleModel(experiment, 7), backend.get());
  Steps(alone.get(), 15);
  ExpectSameState(StateOf(eventful.get(), 7), StateOf(alone.get(), 0));
  EXPECT_EQ(eventful->state().models[7].best_epoch,
            alone->state().models[0].best_epoch);
  for (int e = 0; e < 3; ++e) {
    EXPECT_EQ(eventful->state().curves[e].train_loss[7],
              alone->state().curves[e].train_loss[0]);
  }
  const auto frozen = Start(SingleModel(experiment, 0), backend.get());
  Steps(frozen.get(), 13);
  ExpectSameState(StateOf(eventful.get(), 0), StateOf(frozen.get(), 0));

  const std::vector<int64_t> ids = {0, 9, 2, 8, 4, 11, 10, 7};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(eventful->experiment().population.models[i].id, ids[i]);
    EXPECT_EQ(eventful->state().models[i].removed(), i == 3);
  }
  EXPECT_EQ(eventful->state().events.size(), 12u);
}

// Memory is given back at the end of the epoch, moments are kept.
TEST(TrainerControlTest, CompactsAtTheEndOfTheEpoch) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto trainer = Start(experiment, backend.get());
  const auto bytes = [&] {
    const auto stats = trainer->batch().session().Stats();
    EXPECT_TRUE(stats.ok());
    return stats->state_bytes;
  };
  const int64_t before = bytes();
  Steps(trainer.get(), 3);
  for (const int model : {0, 2, 5, 6}) {
    ASSERT_TRUE(trainer->Remove(model, "").ok());
  }
  Steps(trainer.get(), 1);
  EXPECT_EQ(bytes(), before);
  Steps(trainer.get(), 1);
  EXPECT_LT(bytes(), before * 3 / 4);
  Steps(trainer.get(), 10);
  const auto without =
      Start(SomeModels(experiment, {1, 3, 4, 7}), backend.get());
  Steps(without.get(), 15);
  const std::vector<int> left = {1, 3, 4, 7};
  for (int i = 0; i < 4; ++i) {
    ExpectSameState(StateOf(trainer.get(), left[i]), StateOf(without.get(), i));
    const ModelRecord& a = trainer->state().models[left[i]];
    const ModelRecord& b = without->state().models[i];
    EXPECT_EQ(a.best_epoch, b.best_epoch);
    EXPECT_EQ(a.best_test.loss, b.best_test.loss);
    for (const auto& [name, tensor] : a.best) {
      EXPECT_EQ(
          std::memcmp(tensor.raw(), b.best.at(name).raw(), tensor.byte_size()),
          0);
    }
  }
}

// Plain SGD moves by lr times the gradient: a copy with twice the rate moves
// twice as far.
TEST(TrainerControlTest, ACopyTrainsWithItsOwnHyperParameters) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"optimizer={kind=\"sgd\", lr=0.05}"});
  const auto trainer = Start(experiment, backend.get());
  Steps(trainer.get(), 3);
  // Model 0 has no dropout, so that the seed makes no difference.
  const auto id = trainer->Replace(3, 0, 123, {{"lr", 0.1}}, "exploit");
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(*id, 4);
  EXPECT_EQ(trainer->experiment().population.models[3].id, 4);
  EXPECT_EQ(trainer->experiment().population.models[3].seed, 123u);
  EXPECT_EQ(trainer->experiment().population.optimizers[3].at("lr"), 0.1);
  const ModelState before = StateOf(trainer.get(), 0);
  ExpectSameState(before, StateOf(trainer.get(), 3));
  Steps(trainer.get(), 1);
  const ModelState source = StateOf(trainer.get(), 0);
  const ModelState copy = StateOf(trainer.get(), 3);
  for (const auto& [name, tensor] : before.slots.at("param")) {
    const float* w = tensor.data<float>();
    const float* a = source.slots.at("param").at(name).data<float>();
    const float* b = copy.slots.at("param").at(name).data<float>();
    for (int64_t i = 0; i < tensor.size(); ++i) {
      EXPECT_NEAR(double{b[i]} - w[i], 2 * (double{a[i]} - w[i]), 1e-6);
    }
  }
}

TEST(TrainerControlTest, AllFrozenStepsOnlyCount) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto trainer = Start(experiment, backend.get());
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(trainer->Freeze(i, "").ok());
  EXPECT_TRUE(trainer->finished());
  const ModelState before = StateOf(trainer.get(), 3);
  Steps(trainer.get(), 6);
  ExpectSameState(before, StateOf(trainer.get(), 3));
  EXPECT_EQ(trainer->state().step, 6);
  EXPECT_TRUE(std::isnan(trainer->last_step().min_loss));
  EXPECT_TRUE(std::isnan(trainer->state().curves[0].train_loss[3]));
  ASSERT_TRUE(trainer->Unfreeze(3, "").ok());
  EXPECT_FALSE(trainer->finished());
  Steps(trainer.get(), 1);
  EXPECT_EQ(StateOf(trainer.get(), 3).step, 1);
}

TEST(TrainerControlTest, ErrorsAreNamedAndChangeNothing) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto trainer = Start(experiment, backend.get());
  Steps(trainer.get(), 2);
  ASSERT_TRUE(trainer->Freeze(1, "paused").ok());
  ASSERT_TRUE(trainer->Remove(2, "the worst").ok());
  const auto expect = [&](const absl::Status& status, absl::StatusCode code,
                          const std::string& message) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(trainer->state().events.size(), 2u);
  };
  using absl::StatusCode;
  expect(trainer->Freeze(-1, ""), StatusCode::kInvalidArgument,
         "no model at index -1, expected 0 to 7");
  expect(trainer->Freeze(1, ""), StatusCode::kFailedPrecondition,
         "model 1 is frozen since step 2: paused");
  expect(trainer->StopEarly(1, ""), StatusCode::kFailedPrecondition, "model 1");
  expect(trainer->Unfreeze(0, ""), StatusCode::kFailedPrecondition,
         "model 0 is not frozen");
  expect(trainer->Unfreeze(2, ""), StatusCode::kFailedPrecondition,
         "model 2 was removed at step 2");
  expect(trainer->Reset(2, 1, ""), StatusCode::kFailedPrecondition, "model 2");
  expect(trainer->Remove(2, ""), StatusCode::kFailedPrecondition, "model 2");
  expect(trainer->Replace(0, 2, 1, {}, "").status(),
         StatusCode::kFailedPrecondition, "model 2 was removed");
  expect(trainer->Replace(8, 0, 1, {}, "").status(),
         StatusCode::kInvalidArgument, "index 8");
  expect(trainer->Replace(3, 0, 1, {{"momentum", 0.5}}, "").status(),
         StatusCode::kInvalidArgument, "no hyper-parameter \"momentum\"");
  expect(trainer->Replace(3, 0, 1, {{"lr", -1}}, "").status(),
         StatusCode::kInvalidArgument,
         "copy of model 0 in the place of model 3");
  expect(trainer->Reset({{3, 1, ""}, {3, 2, ""}}), StatusCode::kInvalidArgument,
         "model 3 is to be reset twice");
  expect(trainer->Reset({{3, 1, ""}, {2, 2, ""}}),
         StatusCode::kFailedPrecondition, "model 2 was removed");
  EXPECT_EQ(trainer->experiment().population.models[3].id, 3);
  // A removed model's place can be taken.
  EXPECT_TRUE(trainer->Replace(2, 1, 1, {}, "").ok());
  EXPECT_FALSE(trainer->state().models[2].frozen());
}

}  // namespace
}  // namespace modelbatch
