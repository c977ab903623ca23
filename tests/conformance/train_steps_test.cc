// Several steps in one call: what as many single steps do, but that a model
// which has rows and is not updated takes no further part.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int64_t kRows = 12;
constexpr int64_t kMaxRows = 5;
constexpr int64_t kFeatures = 5;
constexpr int64_t kOutputs = 3;
constexpr int kModels = 4;

// Rows of each step, as a RowSet refers to them.
struct Rows {
  std::vector<int32_t> rows;
  std::vector<int64_t> offsets;
};

std::vector<RowSet> View(const std::vector<Rows>& steps) {
  std::vector<RowSet> views;
  for (const Rows& step : steps) views.push_back({step.rows, step.offsets});
  return views;
}

// Columns of `steps` steps, lr another in each.
std::vector<Column> ForSteps(const std::vector<Column>& one, size_t steps) {
  std::vector<Column> columns;
  for (const Column& column : one) {
    columns.push_back({column.name, {}});
    for (size_t s = 0; s < steps; ++s) {
      const double factor = column.name == "lr" ? 1.0 / (1.0 + s) : 1.0;
      for (const double value : column.values) {
        columns.back().values.push_back(factor * value);
      }
    }
  }
  return columns;
}

// The single step `s` of such columns.
std::vector<Column> OfStep(const std::vector<Column>& columns, size_t s) {
  std::vector<Column> one;
  for (const Column& column : columns) {
    const auto begin = column.values.begin() + s * kModels;
    one.push_back({column.name, {begin, begin + kModels}});
  }
  return one;
}

// The contract, in single steps.
StepsResult Reference(Population& population, const Dataset& dataset,
                      const std::vector<RowSet>& rows,
                      const std::vector<Column>& columns,
                      std::vector<uint8_t> active) {
  StepsResult all;
  for (size_t s = 0; s < rows.size(); ++s) {
    const StepResult step =
        population.Step(dataset, rows[s], OfStep(columns, s), active);
    for (size_t m = 0; m < kModels; ++m) {
      all.losses.push_back(step.losses[m]);
      all.outcomes.push_back(step.outcomes[m]);
      if (active[m] != 0 && step.outcomes[m] != Outcome::kStepped &&
          !RowsOf(rows[s], m).empty()) {
        active[m] = 0;
      }
    }
    ++all.made;
  }
  return all;
}

// Needs linear, mse and sgd, which every useful backend has.
class TrainSteps : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasLoss("mse") && HasOptimizer("sgd"));
    exact_ = HasFeature("bitwise_independence");
  }

  Population Make(const std::string& optimizer,
                  const std::string& loss = "mse") {
    std::vector<ModelInstance> models;
    for (int m = 0; m < kModels; ++m) {
      ModelSpec spec({kFeatures});
      spec.Linear(HasFeature("mixed_widths") ? 4 + m : 4);
      // Its masks are those of the steps made.
      if (HasOperator("dropout")) spec.Dropout(0.3);
      spec.Linear(kOutputs);
      models.push_back({m, static_cast<uint64_t>(m + 7), spec});
    }
    Population population(backend(), std::move(models), loss, kMaxRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    return population;
  }

  std::unique_ptr<Dataset> Data(int64_t nan_row = -1, float value = NAN) {
    Tensor features = NoiseTensor(1, {kRows, kFeatures});
    if (nan_row >= 0) features.data<float>()[nan_row * kFeatures] = value;
    return Get(backend().CreateDataset(std::move(features),
                                       NoiseTensor(2, {kRows, kOutputs})));
  }

  // Other rows in each step; models have their own where the plugin has that,
  // and the last has none in every third step.
  std::vector<Rows> Steps(int count) const {
    std::vector<Rows> steps;
    for (int s = 0; s < count; ++s) {
      Rows step;
      if (!HasFeature("ragged_rows") || s % 4 == 1) {
        for (int r = 0; r < kMaxRows - s % 2; ++r) {
          step.rows.push_back((s * 3 + r * 5) % kRows);
        }
        steps.push_back(std::move(step));
        continue;
      }
      step.offsets.push_back(0);
      for (int m = 0; m < kModels; ++m) {
        const int rows =
            m == kModels - 1 && s % 3 == 0 ? 0 : 1 + (s + m) % kMaxRows;
        for (int r = 0; r < rows; ++r) {
          step.rows.push_back((s * 2 + m * 3 + r) % kRows);
        }
        step.offsets.push_back(static_cast<int64_t>(step.rows.size()));
      }
      steps.push_back(std::move(step));
    }
    return steps;
  }

  void ExpectSameResult(const StepsResult& got, const StepsResult& expected,
                        const std::string& what) {
    EXPECT_EQ(got.made, expected.made) << what;
    EXPECT_EQ(got.outcomes, expected.outcomes) << what;
    ASSERT_EQ(got.losses.size(), expected.losses.size()) << what;
    for (size_t i = 0; i < got.losses.size(); ++i) {
      const float a = got.losses[i], b = expected.losses[i];
      if (exact_ || !std::isfinite(b)) {
        EXPECT_TRUE(std::memcmp(&a, &b, sizeof(a)) == 0 ||
                    (std::isnan(a) && std::isnan(b)))
            << what << ", entry " << i << ": " << a << ", expected " << b;
      } else {
        EXPECT_NEAR(a, b, 1e-5 * (1 + std::fabs(b))) << what << ", " << i;
      }
    }
  }

  // The call and the single steps, on two populations in the same state.
  void ExpectAsSingle(Population& together, Population& single,
                      const Dataset& dataset, const std::vector<Rows>& steps,
                      const std::vector<Column>& one,
                      const std::vector<uint8_t>& active,
                      const std::string& what) {
    const std::vector<RowSet> rows = View(steps);
    const std::vector<Column> columns = ForSteps(one, steps.size());
    StepsResult result;
    Check(together.TrySteps(dataset, rows, columns, &result, active));
    ExpectSameResult(result, Reference(single, dataset, rows, columns, active),
                     what);
    for (size_t m = 0; m < kModels; ++m) {
      ExpectSameState(together.Save(m), single.Save(m), exact_,
                      what + ", model " + std::to_string(m));
    }
  }

  bool exact_ = false;
};

TEST_F(TrainSteps, AreSingleStepsWithEveryOptimizer) {
  const auto data = Data();
  for (const std::string& optimizer : KnownOptimizers()) {
    if (!HasOptimizer(optimizer)) continue;
    Population together = Make(optimizer), single = Make(optimizer);
    const std::vector<Column> columns = together.VariedColumns(false);
    // Again, of other numbers of steps, with single ones between: what they
    // leave is what the next begins with.
    for (const int count : {5, 1, 3, 5}) {
      ExpectAsSingle(together, single, *data, Steps(count), columns,
                     {1, 1, 1, 1}, optimizer + ", " + std::to_string(count));
      const std::vector<int32_t> rows = {1, 4};
      together.Step(*data, {rows, {}}, columns);
      single.Step(*data, {rows, {}}, columns);
    }
  }
}

TEST_F(TrainSteps, InactiveModelsTakeNoPart) {
  const auto data = Data();
  Population together = Make("sgd"), single = Make("sgd");
  const Snapshot before = together.Save(2);
  ExpectAsSingle(together, single, *data, Steps(4), together.Columns(),
                 {1, 1, 0, 1}, "one inactive");
  ExpectSameState(together.Save(2), before, true, "the inactive model");
}

TEST_F(TrainSteps, ClipGradients) {
  MB_REQUIRES(HasFeature("gradient_clipping"));
  const auto data = Data();
  Population together = Make("sgd"), single = Make("sgd");
  std::vector<Column> columns = together.Columns();
  columns.push_back({"gradient_scale", {1, 0.5, 2, 1}});
  columns.push_back({"clip_norm", {0.1, 0.2, 0.3, 0.05}});
  ExpectAsSingle(together, single, *data, Steps(4), columns, {1, 1, 1, 1},
                 "clipped");
}

// Row 11 is NaN, or so large that a gradient is not finite.
TEST_F(TrainSteps, AModelThatIsNotFiniteTakesNoFurtherPart) {
  MB_REQUIRES(HasFeature("ragged_rows"));
  for (const float value : {NAN, 3e38f}) {
    const auto data = Data(11, value);
    for (const std::string& optimizer : KnownOptimizers()) {
      if (!HasOptimizer(optimizer)) continue;
      Population together = Make(optimizer), single = Make(optimizer);
      std::vector<Rows> steps;
      // Model m sees row 11 in step m + 1; the last never.
      for (int s = 0; s < 5; ++s) {
        Rows step;
        step.offsets.push_back(0);
        for (int m = 0; m < kModels; ++m) {
          step.rows.push_back(m);
          step.rows.push_back(m < 3 && s == m + 1 ? 11 : s);
          step.offsets.push_back(static_cast<int64_t>(step.rows.size()));
        }
        steps.push_back(std::move(step));
      }
      const std::vector<Column> columns = together.VariedColumns(false);
      ExpectAsSingle(together, single, *data, steps, columns, {1, 1, 1, 1},
                     optimizer);
      const int64_t made[] = {1, 2, 3, 5};
      for (size_t m = 0; m < kModels; ++m) {
        EXPECT_EQ(together.Read(m, "step", "").data<int64_t>()[0], made[m]);
      }
      // The next call is a new one: all take part again.
      ExpectAsSingle(together, single, *data, Steps(2), columns, {1, 1, 1, 1},
                     optimizer + ", afterwards");
    }
  }
}

// Rows that are there and do not count end a model's part, as it makes no
// update; to have none does not.
TEST_F(TrainSteps, RowsThatDoNotCountEndAModelsPart) {
  MB_REQUIRES(HasLoss("cross_entropy") && HasFeature("ragged_rows"));
  Population together = Make("sgd", "cross_entropy");
  Population single = Make("sgd", "cross_entropy");
  Tensor labels = Labels(3, kRows, kOutputs);
  labels.data<int64_t>()[10] = labels.data<int64_t>()[11] = -100;
  const auto data = Get(backend().CreateDataset(
      NoiseTensor(1, {kRows, kFeatures}), std::move(labels)));
  const std::vector<Rows> steps = {
      {{0, 1, 2, 3}, {0, 1, 2, 3, 4}},
      {{0, 10, 11, 10, 3}, {0, 1, 3, 3, 5}},  // 1 ignored, 2 none, 3 in part
      {{5, 6, 7, 8}, {0, 1, 2, 3, 4}}};
  ExpectAsSingle(together, single, *data, steps, together.Columns(),
                 {1, 1, 1, 1}, "ignored rows");
  const int64_t made[] = {3, 1, 2, 3};
  for (size_t m = 0; m < kModels; ++m) {
    EXPECT_EQ(together.Read(m, "step", "").data<int64_t>()[0], made[m]) << m;
  }
}

// Whatever was made before the error was made whole.
TEST_F(TrainSteps, WhatIsRefusedNamesTheStepsMade) {
  const auto data = Data();
  Population together = Make("sgd"), single = Make("sgd");
  std::vector<Rows> steps = Steps(4);
  steps[2].rows[0] = kRows;
  const std::vector<RowSet> rows = View(steps);
  const std::vector<Column> columns = ForSteps(together.Columns(), 4);
  StepsResult result;
  const absl::Status status = together.TrySteps(*data, rows, columns, &result);
  EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsOutOfRange(status))
      << status;
  EXPECT_NE(status.message().find(std::to_string(kRows)),
            absl::string_view::npos)
      << status;
  ASSERT_GE(result.made, 0);
  ASSERT_LE(result.made, 2);
  const std::vector<RowSet> made(rows.begin(), rows.begin() + result.made);
  ExpectSameResult(result,
                   Reference(single, *data, made, columns, {1, 1, 1, 1}),
                   "before the error");
  for (size_t m = 0; m < kModels; ++m) {
    ExpectSameState(together.Save(m), single.Save(m), exact_, "refused");
  }
}

TEST_F(TrainSteps, NoStepsAndWrongColumnsAreRefusedAndChangeNothing) {
  const auto data = Data();
  Population population = Make("sgd");
  const std::vector<Snapshot> before = population.SaveAll();
  StepsResult result;
  const auto refused = [&](const std::vector<RowSet>& rows,
                           const std::vector<Column>& columns) {
    const absl::Status status =
        population.TrySteps(*data, rows, columns, &result);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(result.made, 0);
  };
  const std::vector<Rows> steps = Steps(3);
  refused({}, {});
  refused(View(steps), population.Columns());  // of one step
  std::vector<Column> columns = ForSteps(population.Columns(), 3);
  columns.push_back({"learning_rate", columns[0].values});
  refused(View(steps), columns);
  for (size_t m = 0; m < kModels; ++m) {
    ExpectSameState(population.Save(m), before[m], true, "refused");
  }
}

}  // namespace
}  // namespace modelbatch::conformance
