#include "modelbatch/optim/lr_scheduler.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/optim/lr_lambda.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const LrScheduleSpec kHalve = {"step_lr", {{"step_size", 1}, {"gamma", 0.5}}};
const LrScheduleSpec kWarmUp = {"linear_lr",
                                {{"start_factor", 0.25}, {"total_iters", 3}}};

Optimizer Sgd(const std::vector<double>& rates) {
  std::vector<OptimizerConfig> configs;
  for (double rate : rates) configs.push_back({{"lr", rate}});
  auto optimizer = Optimizer::Create("sgd", {}, configs);
  EXPECT_TRUE(optimizer.ok()) << optimizer.status();
  return *std::move(optimizer);
}

LrScheduler Make(Optimizer* optimizer,
                 const std::vector<LrScheduleSpec>& specs) {
  auto scheduler = LrScheduler::Create(optimizer, specs);
  EXPECT_TRUE(scheduler.ok()) << scheduler.status();
  return *std::move(scheduler);
}

std::vector<double> Rates(const Optimizer& optimizer) {
  std::vector<double> rates;
  for (int i = 0; i < optimizer.num_models(); ++i) {
    rates.push_back(optimizer.Get(i, "lr").value());
  }
  return rates;
}

// Elsewhere N schedulers step every group: four that halve leave a sixteenth.
TEST(LrSchedulerTest, EachModelTicksItsOwnScheduleOnly) {
  Optimizer optimizer = Sgd({1, 1, 1, 1});
  LrScheduler scheduler =
      Make(&optimizer, std::vector<LrScheduleSpec>(4, kHalve));
  ASSERT_TRUE(scheduler.Step().ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.5, 0.5, 0.5, 0.5));
  ASSERT_TRUE(scheduler.Step(2).ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.5, 0.5, 0.25, 0.5));
  EXPECT_EQ(scheduler.GetLastLr(), Rates(optimizer));
}

TEST(LrSchedulerTest, TicksThoseThatWereUpdated) {
  Optimizer optimizer = Sgd({1, 1, 1, 1, 1});
  LrScheduler scheduler =
      Make(&optimizer, std::vector<LrScheduleSpec>(5, kHalve));
  StepResult step;
  step.outcomes = {Outcome::kStepped, Outcome::kInactive, Outcome::kEmpty,
                   Outcome::kNonFiniteLoss, Outcome::kNonFiniteGradient};
  ASSERT_TRUE(scheduler.Step(step).ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.5, 1, 1, 1, 1));
}

TEST(LrSchedulerTest, ResetBeginsAnew) {
  Optimizer optimizer = Sgd({1, 1});
  LrScheduler scheduler = Make(&optimizer, {kWarmUp, kHalve});
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.25, 1));
  ASSERT_TRUE(scheduler.Step().ok());
  ASSERT_TRUE(scheduler.Step().ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.75, 0.25));
  ASSERT_TRUE(scheduler.Reset(0).ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.25, 0.25));
  ASSERT_TRUE(scheduler.Step().ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(0.5, 0.125));
}

TEST(LrSchedulerTest, ACopyGoesOnWhereItsSourceIs) {
  Optimizer optimizer = Sgd({1, 8});
  LrScheduler scheduler = Make(&optimizer, {kWarmUp, kHalve});
  ASSERT_TRUE(scheduler.Step().ok());
  ASSERT_TRUE(scheduler.Copy(1, 0).ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(4, 4));
  ASSERT_TRUE(scheduler.Step(0).ok());
  EXPECT_THAT(Rates(optimizer), ElementsAre(2, 4));
}

// A change of the initial rate, at the tick where the schedule is.
TEST(LrScheduleTest, RebaseIsAsIfItHadBegunSo) {
  const std::vector<LrScheduleSpec> specs = {
      kWarmUp,
      {"cosine_annealing_lr", {{"T_max", 9}, {"eta_min", 0.01}}},
      {"sequential_lr",
       {{"milestones", std::vector<int64_t>{2}}},
       {kWarmUp, {"polynomial_lr", {{"total_iters", 7}}}}},
  };
  for (const LrScheduleSpec& spec : specs) {
    Optimizer optimizer = Sgd({0.5, 3});
    LrScheduler both = Make(&optimizer, {spec, spec});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(both.Step().ok());
    const auto schedule = LrSchedule::Create(spec, optimizer.info());
    ASSERT_TRUE(schedule.ok()) << schedule.status();
    LrScheduleState state = both.GetState(0);
    ASSERT_TRUE(schedule->Rebase(3, &optimizer, 0, &state).ok());
    EXPECT_EQ(state.ToNumbers(), both.GetState(1).ToNumbers()) << spec.kind;
    EXPECT_EQ(Rates(optimizer)[0], Rates(optimizer)[1]);
  }
  // No count of ticks says where a plateau is.
  Optimizer optimizer = Sgd({1});
  LrScheduler plateau =
      Make(&optimizer, {{"reduce_lr_on_plateau", {{"patience", 0}}}});
  ASSERT_TRUE(plateau.Step(0, 5).ok());
  ASSERT_TRUE(plateau.Step(0, 5).ok());
  EXPECT_DOUBLE_EQ(Rates(optimizer)[0], 0.1);
  const auto schedule = LrSchedule::Create(
      {"reduce_lr_on_plateau", {{"patience", 0}}}, optimizer.info());
  LrScheduleState state = plateau.GetState(0);
  ASSERT_TRUE(schedule->Rebase(3, &optimizer, 0, &state).ok());
  EXPECT_DOUBLE_EQ(Rates(optimizer)[0], 0.3);
  EXPECT_EQ(state.parts[0].best, 5);
}

// From a rate of 0 the cosine comes back to 0 but for rounding, which is below
// it for some lengths.
TEST(LrScheduleTest, ARateThatRoundingMakesNegativeIsZero) {
  for (const int64_t t_max : {3, 5, 7, 10, 30}) {
    Optimizer optimizer = Sgd({0});
    LrScheduler scheduler =
        Make(&optimizer,
             {{"cosine_annealing_lr", {{"T_max", t_max}, {"eta_min", 1e-3}}}});
    for (int64_t tick = 1; tick <= 4 * t_max; ++tick) {
      const absl::Status status = scheduler.Step();
      ASSERT_TRUE(status.ok()) << status;
      const double expected =
          5e-4 * (1 - std::cos(M_PI * static_cast<double>(tick) /
                               static_cast<double>(t_max)));
      EXPECT_NEAR(Rates(optimizer)[0], expected, 1e-14) << tick;
    }
  }
}

TEST(LrScheduleTest, SaysWhatItSetsByItself) {
  const Optimizer optimizer = Sgd({1});
  const auto cycle = LrSchedule::Create(
      {"one_cycle_lr", {{"max_lr", 1.0}, {"total_steps", 9}}},
      optimizer.info());
  ASSERT_TRUE(cycle.ok()) << cycle.status();
  EXPECT_TRUE(cycle->Overrides("lr"));
  EXPECT_TRUE(cycle->Overrides("momentum"));
  EXPECT_FALSE(cycle->Overrides("weight_decay"));
  const auto halve = LrSchedule::Create(kHalve, optimizer.info());
  EXPECT_FALSE(halve->Overrides("lr"));
}

TEST(LrSchedulerTest, ErrorsChangeNothing) {
  Optimizer optimizer = Sgd({1, 1});
  const auto too_few = LrScheduler::Create(&optimizer, {kHalve});
  EXPECT_EQ(too_few.status().message(),
            "1 learning-rate schedules for 2 models, expected one a model");
  ASSERT_TRUE(RegisterLrLambda("negative", [](int64_t epoch) {
                return epoch == 2 ? -1.0 : 1.0;
              }).ok());
  // Model 0's first factor is not left behind when model 1 can not begin.
  const auto second = LrScheduler::Create(
      &optimizer,
      {kWarmUp, {"lambda_lr", {{"lr_lambda", std::string("nothing")}}}});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("model 1: no function \"nothing\" is registered"));
  EXPECT_THAT(Rates(optimizer), ElementsAre(1, 1));

  LrScheduler scheduler =
      Make(&optimizer,
           {{"lambda_lr", {{"lr_lambda", std::string("negative")}}}, kHalve});
  ASSERT_TRUE(scheduler.Step().ok());
  const std::vector<double> before = scheduler.GetState(0).ToNumbers();
  EXPECT_THAT(std::string(scheduler.Step(0).message()),
              HasSubstr("model 0: lr is -1"));
  EXPECT_EQ(scheduler.GetState(0).ToNumbers(), before);
  EXPECT_EQ(Rates(optimizer)[0], 1);
  EXPECT_FALSE(scheduler.Step(2).ok());
  EXPECT_FALSE(scheduler.Step(1, 0.5).ok());
  EXPECT_FALSE(scheduler.Step(absl::MakeConstSpan(before).first(1)).ok());
  EXPECT_FALSE(scheduler.LoadState(1, LrScheduleState()).ok());
  EXPECT_FALSE(RegisterLrLambda("", [](int64_t) { return 1.0; }).ok());
  EXPECT_FALSE(RegisterLrLambda("none", nullptr).ok());
}

// A beta1 that Adam does not take: the rate is not changed either.
TEST(LrSchedulerTest, AMomentumThatIsRefused) {
  auto adam = Optimizer::Create("adam", {}, {{{"lr", 0.5}}});
  ASSERT_TRUE(adam.ok());
  const auto cycle = LrScheduler::Create(
      &*adam, {{"one_cycle_lr",
                {{"max_lr", 1.0}, {"total_steps", 9}, {"max_momentum", 1.5}}}});
  EXPECT_THAT(std::string(cycle.status().message()),
              HasSubstr("model 0: beta1 is 1.5"));
  EXPECT_EQ(adam->Get(0, "lr").value(), 0.5);
}

TEST(LrScheduleStateTest, RefusesOtherNumbers) {
  Optimizer optimizer = Sgd({1});
  const std::vector<double> good =
      Make(&optimizer, {kHalve}).GetState(0).ToNumbers();
  ASSERT_TRUE(LrScheduleState::FromNumbers(good).ok());
  EXPECT_FALSE(LrScheduleState::FromNumbers({}).ok());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(
        LrScheduleState::FromNumbers(absl::MakeConstSpan(good).first(size))
            .ok());
  }
  for (double bad : {0.5, -2.0, 1e300, std::numeric_limits<double>::infinity(),
                     std::numeric_limits<double>::quiet_NaN()}) {
    std::vector<double> numbers = good;
    numbers[3] = bad;
    EXPECT_FALSE(LrScheduleState::FromNumbers(numbers).ok()) << bad;
    numbers = good;
    numbers[5] = bad;
    EXPECT_FALSE(LrScheduleState::FromNumbers(numbers).ok()) << bad;
  }
}

}  // namespace
}  // namespace modelbatch
