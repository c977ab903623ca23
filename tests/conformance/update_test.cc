// Gradients of several batches, and the update from those kept: the parts of a
// step are the step.
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/gradients_fixture.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST_F(Gradients, AccumulatedHalvesAreTheWholeBatch) {
  MB_REQUIRES(HasFeature("gradients"));
  Population whole = Make(), halves = Make();
  const std::vector<Snapshot> before = halves.SaveAll();
  whole.Step(*data_, rows_, whole.Columns(), {}, /*keep_gradients=*/true,
             /*update=*/false);
  const absl::Span<const int32_t> all = row_list_;
  // The first finds no gradients kept.
  const StepResult first = halves.Accumulate(*data_, {all.subspan(0, 2), {}});
  const StepResult second = halves.Accumulate(*data_, {all.subspan(2, 2), {}});
  ExpectUnchanged(halves, before, "accumulation");
  const StepResult both = whole.Step(*data_, rows_, whole.Columns(), {},
                                     /*keep_gradients=*/true, false);
  for (size_t m = 0; m < kModels; ++m) {
    EXPECT_EQ(first.outcomes[m], Outcome::kStepped);
    EXPECT_EQ(second.outcomes[m], Outcome::kStepped);
    EXPECT_NEAR((first.losses[m] + second.losses[m]) / 2, both.losses[m], 1e-6);
    ExpectGradients(halves, m, Kept(whole, m, 2));
  }
  // A step that keeps without accumulating starts anew.
  halves.Step(*data_, rows_, halves.Columns(), {}, true, false);
  for (size_t m = 0; m < kModels; ++m) {
    ExpectGradients(halves, m, Kept(whole, m));
  }
}

TEST_F(Gradients, AHalfTimesTwoIsTheStepOfTheWholeBatch) {
  MB_REQUIRES(HasFeature("gradients") && HasFeature("gradient_clipping"));
  Population whole = Make("sgd"), halves = Make("sgd");
  std::vector<Column> columns = whole.Columns({{"lr", 0.1}});
  whole.Step(*data_, rows_, columns, {}, /*keep_gradients=*/true);
  const absl::Span<const int32_t> all = row_list_;
  halves.Accumulate(*data_, {all.subspan(0, 2), {}});
  halves.Accumulate(*data_, {all.subspan(2, 2), {}});
  columns.push_back({"gradient_scale", std::vector<double>(kModels, 0.5)});
  halves.Update(columns);
  for (size_t m = 0; m < kModels; ++m) {
    ExpectSameState(halves.Save(m), whole.Save(m), /*exact=*/false, "halves");
    ExpectGradients(halves, m, Kept(whole, m));
  }
}

TEST_F(Gradients, UpdateIsTheFormulaAndKeepsTheGradients) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make("sgd");
  std::vector<Column> columns = population.Columns();
  for (Column& column : columns) {
    if (column.name == "lr") column.values = {0.1, 0.2, 0.3};
    if (column.name == "weight_decay") column.values = {0, 0.5, 0};
  }
  population.Backward(*data_, rows_, OutputGradients(7, rows_));
  for (int round = 0; round < 2; ++round) {
    for (size_t m = 0; m < kModels; ++m) {
      const auto gradients = population.Gradients(m);
      std::map<std::string, Tensor> before;
      for (const Parameter& p : population.layout(m).parameters) {
        before[p.name] = population.Read(m, "param", p.name);
      }
      std::vector<uint8_t> active(kModels, 0);
      active[m] = 1;
      Outcomes expected(kModels, Outcome::kInactive);
      expected[m] = Outcome::kStepped;
      EXPECT_EQ(population.Update(columns, active), expected);
      const double lr = 0.1 * (1 + static_cast<double>(m));
      const double decay = m == 1 ? 0.5 : 0;
      for (const Parameter& p : population.layout(m).parameters) {
        const Tensor after = population.Read(m, "param", p.name);
        for (int64_t e = 0; e < after.size(); ++e) {
          const double old = before[p.name].data<float>()[e];
          const double g = gradients.at(p.name)[e];
          ASSERT_NEAR(after.data<float>()[e], old - lr * (g + decay * old),
                      1e-6)
              << "model " << m << ", " << p.name;
        }
      }
      EXPECT_EQ(population.Gradients(m), gradients);
      EXPECT_EQ(population.Read(m, "step", "").data<int64_t>()[0], round + 1);
    }
  }
}

// A step in parts is the step, for every optimizer and over several steps.
TEST_F(Gradients, UpdateIsThatOfAStep) {
  MB_REQUIRES(HasFeature("gradients"));
  for (const std::string& optimizer : KnownOptimizers()) {
    if (!HasOptimizer(optimizer)) continue;
    SCOPED_TRACE(optimizer);
    Population steps = Make(optimizer), parts = Make(optimizer);
    std::vector<Column> columns =
        steps.Columns({{"lr", 0.05}, {"weight_decay", 0.01}});
    for (Column& column : columns) {
      if (column.name == "momentum") column.values = {0.9, 0, 0.5};
      if (column.name == "lr") column.values[2] = 0.01;
    }
    for (int step = 0; step < 4; ++step) {
      steps.Step(*data_, rows_, columns);
      if (step % 2 == 0) {
        parts.Step(*data_, rows_, {}, {}, /*keep_gradients=*/true,
                   /*update=*/false);
      } else {
        Check(parts.session().ZeroGrad(step == 1));
        parts.Accumulate(*data_, rows_);
      }
      EXPECT_EQ(parts.Update(columns), Outcomes(kModels, Outcome::kStepped));
    }
    for (size_t m = 0; m < kModels; ++m) {
      ExpectSameState(parts.Save(m), steps.Save(m), exact_, "in parts");
    }
  }
}

TEST_F(Gradients, ModelsToWhichNothingWasAddedAreEmpty) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make(), without = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  const std::vector<uint8_t> active = {1, 0, 1};
  const std::vector<Tensor> gradients = OutputGradients(7, rows_);
  population.Backward(*data_, rows_, gradients, active);
  without.Backward(*data_, rows_, gradients);
  const std::vector<Column> columns = population.Columns({{"lr", 0.1}});
  EXPECT_EQ(population.Update(columns),
            (Outcomes{Outcome::kStepped, Outcome::kEmpty, Outcome::kStepped}));
  without.Update(columns);
  ExpectSameState(population.Save(1), before[1], true, "empty");
  for (const size_t m : {0, 2}) {
    ExpectSameState(population.Save(m), without.Save(m), exact_, "others");
  }
  // Without rows likewise.
  population.Backward(*data_, RowSet(), OutputGradients(7, RowSet()));
  EXPECT_EQ(population.Update(columns)[1], Outcome::kEmpty);
}

// One bad micro-batch among good ones, as Backward, is that model's alone, and
// stays known until the gradients are zeroed.
TEST_F(Gradients, ANonFiniteGradientStaysUntilZeroed) {
  MB_REQUIRES(HasFeature("gradients"));
  for (const float poison : {kNan, kInfinity, -kInfinity}) {
    Population poisoned = Make(), clean = Make();
    const std::vector<Snapshot> before = poisoned.SaveAll();
    const std::vector<Column> columns = poisoned.Columns({{"lr", 0.1}});
    for (int call = 0; call < 3; ++call) {
      std::vector<Tensor> gradients = OutputGradients(10 * call, rows_);
      clean.Backward(*data_, rows_, gradients);
      if (call == 1) gradients[1].data<float>()[4] = poison;
      const Outcomes outcomes = poisoned.Backward(*data_, rows_, gradients);
      EXPECT_EQ(outcomes[0], Outcome::kStepped);
      EXPECT_EQ(outcomes[1],
                call == 1 ? Outcome::kNonFiniteGradient : Outcome::kStepped);
      EXPECT_EQ(outcomes[2], Outcome::kStepped);
    }
    // What is not finite adds nothing.
    DoubleGradients expected;
    for (const int call : {0, 2}) {
      AddFormula(poisoned, 1, rows_, OutputGradients(10 * call, rows_)[1],
                 &expected);
    }
    ExpectGradients(poisoned, 1, expected);
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(poisoned.Update(columns),
                (Outcomes{Outcome::kStepped, Outcome::kNonFiniteGradient,
                          Outcome::kStepped}));
      clean.Update(columns);
    }
    ExpectSameState(poisoned.Save(1), before[1], true, "the poisoned model");
    for (const size_t m : {0, 2}) {
      ExpectSameState(poisoned.Save(m), clean.Save(m), exact_, "others");
    }
    Check(poisoned.session().ZeroGrad(false));
    EXPECT_EQ(poisoned.Update(columns), Outcomes(kModels, Outcome::kEmpty));
    poisoned.Backward(*data_, rows_, OutputGradients(0, rows_));
    EXPECT_EQ(poisoned.Update(columns), Outcomes(kModels, Outcome::kStepped));
    EXPECT_NE(poisoned.Save(1), before[1]);
  }
}

// The same of a loss, in a step that accumulates.
TEST_F(Gradients, ANonFiniteLossStaysUntilZeroedOrReplaced) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const std::vector<Column> columns = population.Columns({{"lr", 0.1}});
  const Tensor bias = population.Read(1, "param", "2.bias");
  Tensor bad = bias.Clone();
  bad.data<float>()[0] = kNan;
  const auto poison = [&] {
    population.Accumulate(*data_, rows_);
    population.Write(1, "param", "2.bias", bad);
    const StepResult result = population.Accumulate(*data_, rows_);
    EXPECT_EQ(result.outcomes,
              (Outcomes{Outcome::kStepped, Outcome::kNonFiniteLoss,
                        Outcome::kStepped}));
    EXPECT_FALSE(std::isfinite(result.losses[1]));
    population.Write(1, "param", "2.bias", bias);
    EXPECT_EQ(population.Accumulate(*data_, rows_).outcomes,
              Outcomes(kModels, Outcome::kStepped));
    const Snapshot before = population.Save(1);
    EXPECT_EQ(population.Update(columns),
              (Outcomes{Outcome::kStepped, Outcome::kNonFiniteLoss,
                        Outcome::kStepped}));
    ExpectSameState(population.Save(1), before, true, "the poisoned model");
  };
  poison();
  Check(population.session().ZeroGrad(true));
  poison();
  // In place of those kept before.
  population.Step(*data_, rows_, {}, {}, /*keep_gradients=*/true,
                  /*update=*/false);
  EXPECT_EQ(population.Update(columns), Outcomes(kModels, Outcome::kStepped));
}

// Features 0: the weight's gradient is 0, the bias' that of the output.
TEST_F(Gradients, ASumThatIsNotFiniteIsNoUpdate) {
  MB_REQUIRES(HasFeature("gradients"));
  ModelSpec spec({1});
  spec.Linear(1);
  Population population(backend(), {{0, 0, spec}, {1, 1, spec}}, "mse", 1);
  population.SetOptimizer("sgd");
  const auto data = Get(backend().CreateDataset(
      Tensor::Zeros(DType::kFloat32, {1, 1}), Tensor()));
  const std::vector<int32_t> rows = {0};
  std::vector<Tensor> gradients;
  gradients.push_back(Tensor::FromVector<float>({3e38f}, {1, 1}));
  gradients.push_back(Tensor::FromVector<float>({1.0f}, {1, 1}));
  const std::vector<Snapshot> before = population.SaveAll();
  for (int call = 0; call < 2; ++call) {
    EXPECT_EQ(population.Backward(*data, {rows, {}}, gradients),
              Outcomes(2, Outcome::kStepped));
  }
  EXPECT_EQ(population.Update(population.Columns({{"lr", 1}})),
            (Outcomes{Outcome::kNonFiniteGradient, Outcome::kStepped}));
  ExpectSameState(population.Save(0), before[0], true, "an infinite sum");
  EXPECT_EQ(population.Read(1, "param", "0.bias").data<float>()[0], -2.0f);
}

TEST_F(Gradients, AStepThatKeepsNoneDropsThem) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const std::vector<Tensor> gradients = OutputGradients(7, rows_);
  population.Backward(*data_, rows_, gradients);
  const auto kept = population.Gradients(2);
  // One that is refused does not.
  EXPECT_FALSE(population.TryStep(*data_, rows_, {}).ok());
  EXPECT_EQ(population.Gradients(2), kept);
  population.Step(*data_, rows_, population.Columns());
  ExpectNoGradients(population);
  population.Backward(*data_, rows_, gradients);
  population.Step(*data_, rows_, {}, {}, /*keep_gradients=*/false,
                  /*update=*/false);
  ExpectNoGradients(population);
}

TEST_F(Gradients, UpdateChecksColumnsAndNeedsAnOptimizer) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make("sgd");
  population.Backward(*data_, rows_, OutputGradients(7, rows_));
  const std::vector<Snapshot> before = population.SaveAll();
  const auto kept = population.Gradients(1);
  const auto update = [&](const std::vector<Column>& columns) {
    Outcomes outcomes;
    return population.session().Update({columns, {}}, &outcomes);
  };
  const auto refused = [&](const std::vector<Column>& columns,
                           const std::string& name) {
    const absl::Status status = update(columns);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find(name), absl::string_view::npos) << status;
  };
  std::vector<Column> columns = population.Columns();
  columns.push_back({"learning_rate", std::vector<double>(kModels, 1)});
  refused(columns, "learning_rate");
  columns = population.Columns();
  columns.erase(std::find_if(columns.begin(), columns.end(),
                             [](const Column& c) { return c.name == "lr"; }));
  refused(columns, "lr");
  for (const double bad : {-1.0, static_cast<double>(kNan)}) {
    refused(population.Columns({{"lr", bad}}), "lr");
  }
  ExpectUnchanged(population, before, "refused Update");
  EXPECT_EQ(population.Gradients(1), kept);

  columns = population.Columns();
  Check(population.session().SetOptimizer("none"));
  EXPECT_TRUE(absl::IsFailedPrecondition(update(columns)) ||
              absl::IsInvalidArgument(update(columns)));
}

TEST_F(Gradients, ModelsWithoutParametersStepInParts) {
  MB_REQUIRES(HasFeature("gradients"));
  ModelSpec spec({kFeatures});
  spec.Relu();
  Population population(backend(), {{0, 0, spec}, {1, 1, spec}}, "mse",
                        kMaxRows);
  population.SetOptimizer("sgd");
  std::vector<Tensor> gradients;
  for (int m = 0; m < 2; ++m) {
    gradients.push_back(NoiseTensor(m, {4, kFeatures}));
  }
  const Outcomes stepped(2, Outcome::kStepped);
  EXPECT_EQ(population.Backward(*data_, rows_, gradients), stepped);
  EXPECT_EQ(population.Update(population.Columns()), stepped);
  EXPECT_EQ(population.Read(1, "step", "").data<int64_t>()[0], 1);
}

}  // namespace
}  // namespace modelbatch::conformance
