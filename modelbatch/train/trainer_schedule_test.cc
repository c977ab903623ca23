// Learning-rate schedules in training: which model ticks when, by formulas.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/optim/lr_lambda.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

// Each tick halves the rate, exactly.
constexpr char kHalve[] =
    "optimizer.schedule={kind=\"exponential_lr\", gamma=0.5, every=\"epoch\"}";
constexpr char kHalveBySteps[] =
    "optimizer.schedule={kind=\"exponential_lr\", gamma=0.5, every=\"step\"}";

class TrainerScheduleTest : public ::testing::Test {
 protected:
  // Trains to the end.
  void Train(const std::vector<std::string>& overrides,
             Callback* callback = nullptr) {
    experiment_ = TestExperiment(overrides);
    auto trainer = Trainer::Create(&experiment_, backend_.get());
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    trainer_ = *std::move(trainer);
    if (callback != nullptr) trainer_->AddCallback(callback);
    while (!trainer_->finished()) {
      const absl::Status status = trainer_->Step();
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  double Lr(int epoch, int model) const {
    return trainer_->state().curves[epoch].lr[model];
  }
  // The rate it began with.
  double Base(int model) const {
    return experiment_.population.optimizers[model].at("lr");
  }
  int64_t Ticks(int model) const {
    return trainer_->state().models[model].schedule.last_epoch;
  }
  int64_t Updates(int model) {
    return trainer_->batch().GetModelState(model)->step;
  }

  std::unique_ptr<Backend> backend_ = CpuBackendForTest();
  Experiment experiment_;
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(TrainerScheduleTest, TicksAfterEachEpochWithEachModelsArguments) {
  Train(
      {"optimizer.schedule={kind=\"exponential_lr\", gamma=[1, 0.5, 0.25, "
       "1, 0.5, 0.125, 1, 0.5]}",
       "train.epochs=4"});
  const std::vector<double> gammas = {1, 0.5, 0.25, 1, 0.5, 0.125, 1, 0.5};
  for (int i = 0; i < 8; ++i) {
    for (int e = 0; e < 4; ++e) {
      EXPECT_EQ(Lr(e, i), Base(i) * std::pow(gammas[i], e)) << e << " " << i;
    }
    EXPECT_EQ(Ticks(i), 4);
  }
}

TEST_F(TrainerScheduleTest, WithoutAScheduleTheRateStays) {
  Train({});
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Lr(2, i), Base(i));
}

// 72 rows: 5 updates with 16 rows, 2 with 40.
TEST_F(TrainerScheduleTest, TicksAfterEachUpdateOfTheModel) {
  Train({kHalveBySteps, "train.batch_size={values=[16, 40]}"});
  for (int i = 0; i < 16; ++i) {
    const int updates = i % 2 == 0 ? 5 : 2;
    EXPECT_EQ(Updates(i), 3 * updates);
    EXPECT_EQ(Ticks(i), 3 * updates);
    for (int e = 0; e < 3; ++e) {
      // That of the epoch's last update: all before it have ticked.
      EXPECT_EQ(Lr(e, i), std::ldexp(Base(i), -(e * updates + updates - 1)));
    }
  }
}

TEST_F(TrainerScheduleTest, AFrozenModelDoesNotTick) {
  for (const char* schedule : {kHalve, kHalveBySteps}) {
    ScriptedCallback script;
    // 2 of the 5 updates of epoch 1, none in 2 and 3, all in 4.
    script.AtStep(2, [](Trainer* t) { return t->Freeze(3, ""); });
    script.AtEpoch(3, [](Trainer* t) { return t->Unfreeze(3, ""); });
    Train({schedule, "train.epochs=4"}, &script);
    EXPECT_EQ(Updates(3), 7);
    EXPECT_EQ(Ticks(3), schedule == kHalve ? 1 : 7);
    EXPECT_EQ(Ticks(2), schedule == kHalve ? 4 : 20);
  }
}

// A model without a finite gradient makes no updates: on_nan = "warn" goes on.
TEST_F(TrainerScheduleTest, AModelThatIsNotUpdatedDoesNotTick) {
  for (const char* every : {"epoch", "step"}) {
    Train({std::string("optimizer={kind=\"sgd\", lr={values=[0.05, 1e30]}, "
                       "schedule={kind=\"exponential_lr\", gamma=0.5, "
                       "every=\"") +
               every + "\"}}",
           "train.on_nan=warn"});
    for (int i = 0; i < 8; ++i) {
      const int64_t skipped = trainer_->state().models[i].skipped_updates;
      EXPECT_EQ(skipped > 0, i >= 4);
      if (every == std::string("step")) {
        EXPECT_EQ(Ticks(i), Updates(i));
        EXPECT_EQ(Ticks(i), 15 - skipped);
      } else {
        // Those that explode make their last update in the first epoch.
        EXPECT_EQ(Ticks(i), i >= 4 ? 1 : 3);
      }
    }
  }
}

TEST_F(TrainerScheduleTest, ResetBeginsAnewAndACopyGoesOn) {
  ScriptedCallback script;
  script.AtEpoch(2, [](Trainer* t) { return t->Reset(0, 5, ""); });
  // In mid-epoch, of a model that has ticked as often.
  script.AtStep(12, [](Trainer* t) {
    return t->Replace(1, 2, 6, {{"lr", 0.25}}, "").status();
  });
  script.AtStep(
      13, [](Trainer* t) { return t->Replace(3, 4, 7, {}, "").status(); });
  // Of a removed one's place; of itself.
  script.AtStep(14, [](Trainer* t) { return t->Remove(5, ""); });
  script.AtEpoch(3, [](Trainer* t) {
    const auto id = t->Replace(5, 6, 8, {{"lr", 4.0}}, "");
    return id.ok() ? t->Replace(6, 6, 9, {}, "").status() : id.status();
  });
  Train({kHalve, "train.epochs=5"}, &script);
  const double base4 = Base(4);
  for (int e = 0; e < 5; ++e) {
    EXPECT_EQ(Lr(e, 0), std::ldexp(Base(0), e < 2 ? -e : 2 - e));
    EXPECT_EQ(Lr(e, 1), std::ldexp(e < 2 ? Base(1) : 0.25, -e));
    EXPECT_EQ(Lr(e, 3), std::ldexp(e < 2 ? Base(3) : base4, -e));
    if (e > 2) {
      EXPECT_EQ(Lr(e, 5), std::ldexp(4, -e));
    }
    EXPECT_EQ(Lr(e, 6), std::ldexp(Base(6), -e));
    EXPECT_EQ(Lr(e, 7), std::ldexp(Base(7), -e));
  }
  EXPECT_EQ(Ticks(0), 3);
  EXPECT_EQ(Ticks(1), 5);
}

// Rates beside the copied model's are not touched by a copy.
// A refused call changes nothing.
TEST_F(TrainerScheduleTest, ACopyWhoseRateIsRefusedIsNotMade) {
  const auto turns = [](int64_t ticks) { return ticks == 0 ? 1.0 : -1.0; };
  ASSERT_TRUE(RegisterLrLambda("turns", turns).ok());
  Train({"optimizer.lr=0.0",
         "optimizer.schedule={kind=\"lambda_lr\", lr_lambda=\"turns\"}"});
  const auto copy = trainer_->Replace(1, 0, 5, {{"lr", 1.0}}, "");
  EXPECT_EQ(copy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(trainer_->state().events.empty());
  EXPECT_EQ(trainer_->experiment().population.models[1].id, 1);
  EXPECT_EQ(trainer_->batch().model(1).seed,
            experiment_.population.models[1].seed);
}

TEST_F(TrainerScheduleTest, ACopyLeavesTheOthersRates) {
  ScriptedCallback script;
  script.AtStep(7, [](Trainer* t) {
    return t->Replace(1, 2, 6, {{"weight_decay", 0.1}}, "").status();
  });
  Train({kHalveBySteps}, &script);
  for (int i = 0; i < 8; ++i) {
    const double base = i == 1 ? Base(2) : Base(i);
    EXPECT_EQ(Lr(2, i), std::ldexp(base, -14));
  }
}

TEST_F(TrainerScheduleTest, APlateauIsFedFromItsCurve) {
  for (const std::string metric :
       {"validation_loss", "validation_accuracy", "train_loss"}) {
    Train(
        {"optimizer.schedule={kind=\"reduce_lr_on_plateau\", factor=0.5, "
         "patience=1, threshold=0, metric=\"" +
             metric + "\"}",
         "train.epochs=12", "optimizer.lr={values=[0.03, 0.3]}"});
    int reductions = 0;
    for (int i = 0; i < 8; ++i) {
      double lr = Base(i);
      double best = 1e9;
      int bad = 0;
      for (int e = 0; e < 12; ++e) {
        EXPECT_EQ(Lr(e, i), lr) << metric << ", model " << i << " epoch " << e;
        const EpochCurve& curve = trainer_->state().curves[e];
        const double now =
            metric == "validation_loss" ? curve.validation[i].loss
            : metric == "train_loss"    ? curve.train_loss[i]
                                        : -curve.validation[i].correct / 24.0;
        bad = now < best ? 0 : bad + 1;
        best = std::min(best, now);
        if (bad > 1) {
          lr /= 2;
          bad = 0;
          ++reductions;
        }
      }
    }
    EXPECT_GT(reductions, 0) << metric;
  }
}

// A warm-up, then a cosine to the end: it takes its length from the training.
TEST_F(TrainerScheduleTest, WarmupAndCosine) {
  Train(
      {"optimizer.schedule={kind=\"cosine_annealing_lr\", warmup=2, "
       "warmup_start_factor=0.5}",
       "train.epochs=8"});
  for (int i = 0; i < 8; ++i) {
    for (int e = 0; e < 8; ++e) {
      const double expected =
          e < 2 ? Base(i) * (0.5 + 0.25 * e)
                : Base(i) * (1 + std::cos(M_PI * (e - 2) / 6)) / 2;
      EXPECT_NEAR(Lr(e, i), expected, 1e-15);
    }
  }
}

TEST_F(TrainerScheduleTest, OneCycle) {
  Train({"optimizer.lr=0.5",
         "optimizer.schedule={kind=\"one_cycle_lr\", max_lr=0.1, "
         "pct_start=0.4}"});
  ASSERT_EQ(trainer_->num_models(), 4);
  for (int i = 0; i < 4; ++i) {
    // It ticks after updates, 15 of them: 5 up to the maximum, 9 down.
    EXPECT_EQ(Ticks(i), 15);
    EXPECT_NEAR(Lr(0, i),
                0.1 / 25 + (0.1 - 0.1 / 25) * (1 - std::cos(M_PI * 4 / 5)) / 2,
                1e-12);
    EXPECT_NEAR(Lr(2, i), 0.1 / 25 / 1e4, 1e-12);
    EXPECT_EQ(trainer_->state().models[i].schedule.momentum, 0.95);
  }
  // What the schedule sets by itself is not changed by a copy.
  for (const char* name : {"lr", "beta1"}) {
    const auto id = trainer_->Replace(0, 1, 5, {{name, 0.5}}, "");
    EXPECT_EQ(id.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(id.status().message()),
                HasSubstr(std::string("a change of ") + name +
                          " would have no effect, as the schedule sets it"));
  }
}

}  // namespace
}  // namespace modelbatch
