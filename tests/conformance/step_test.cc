// What a training step does, and above all what it leaves alone.
#include <algorithm>
#include <cmath>
#include <cstdint>
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

constexpr int64_t kRows = 8;
constexpr int64_t kMaxRows = 6;
constexpr int64_t kFeatures = 5;
constexpr int64_t kOutputs = 3;

// Needs linear, relu, mse and sgd, which every useful backend has.
class Step : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasOperator("relu") &&
                HasLoss("mse") && HasOptimizer("sgd"));
    exact_ = HasFeature("bitwise_independence");
  }

  std::vector<ModelInstance> Models(int count = 3) const {
    std::vector<ModelInstance> models;
    for (int m = 0; m < count; ++m) {
      ModelSpec spec({kFeatures});
      spec.Linear(HasFeature("mixed_widths") ? 4 + m : 4)
          .Relu()
          .Linear(kOutputs);
      models.push_back({m, static_cast<uint64_t>(m), spec});
    }
    return models;
  }

  // With as much state as the plugin has.
  Population Make() { return Make(HasOptimizer("adam") ? "adam" : "sgd"); }
  Population Make(const std::string& optimizer) {
    Population population(backend(), Models(), "mse", kMaxRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    return population;
  }

  std::unique_ptr<Dataset> Data() { return DataWith(NoiseTensor(1, kShape)); }
  std::unique_ptr<Dataset> DataWith(Tensor features) {
    return Get(backend().CreateDataset(std::move(features),
                                       NoiseTensor(2, {kRows, kOutputs})));
  }

  void ExpectUnchanged(Population& population,
                       const std::vector<Snapshot>& before,
                       const std::string& what) {
    for (size_t m = 0; m < population.size(); ++m) {
      ExpectSameState(population.Save(m), before[m], true,
                      what + ", model " + std::to_string(m));
    }
  }

  const Shape kShape = {kRows, kFeatures};
  const std::vector<int32_t> rows_ = {0, 3, 1, 5};
  bool exact_ = false;
};

TEST_F(Step, EveryModelLearnsAndCounts) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Column> columns = population.Columns({{"lr", 0.05}});
  const StepResult first = population.Step(*data, {rows_, {}}, columns);
  StepResult last;
  for (int i = 0; i < 99; ++i) {
    last = population.Step(*data, {rows_, {}}, columns);
  }
  for (size_t m = 0; m < population.size(); ++m) {
    EXPECT_LT(last.losses[m], 0.5f * first.losses[m]);
    EXPECT_EQ(population.Read(m, "step", "").data<int64_t>()[0], 100);
  }
}

TEST_F(Step, TheSameRunTwiceIsTheSame) {
  const auto data = Data();
  std::vector<Snapshot> first;
  for (int run = 0; run < 2; ++run) {
    Population population = Make();
    for (int i = 0; i < 5; ++i) {
      population.Step(*data, {rows_, {}}, population.Columns());
    }
    if (run == 0) {
      first = population.SaveAll();
    } else {
      for (size_t m = 0; m < population.size(); ++m) {
        ExpectSameState(population.Save(m), first[m], exact_, "again");
      }
    }
  }
}

TEST_F(Step, EachModelHasItsOwnColumnValue) {
  Population population = Make("sgd");
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  std::vector<Column> columns = population.Columns();
  for (Column& column : columns) {
    if (column.name == "lr") column.values = {0.0, 0.1, 0.0};
  }
  population.Step(*data, {rows_, {}}, columns);
  for (size_t m : {0, 2}) {
    for (const Parameter& p : population.layout(m).parameters) {
      const std::string key = "param/" + p.name;
      EXPECT_EQ(population.Save(m)[key], before[m].at(key));
    }
  }
  EXPECT_NE(population.Save(1)["param/0.weight"],
            before[1].at("param/0.weight"));
}

TEST_F(Step, InactiveModelsAreNotTouched) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  const std::vector<uint8_t> active = {1, 0, 1};
  const StepResult result =
      population.Step(*data, {rows_, {}}, population.Columns(), active);
  EXPECT_EQ(result.outcomes[0], Outcome::kStepped);
  EXPECT_EQ(result.outcomes[1], Outcome::kInactive);
  EXPECT_EQ(result.outcomes[2], Outcome::kStepped);
  EXPECT_EQ(result.losses[1], 0.0f);
  ExpectSameState(population.Save(1), before[1], true, "inactive");
  EXPECT_NE(population.Save(0), before[0]);
}

TEST_F(Step, NoRowsAreNoStep) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  const StepResult none =
      population.Step(*data, RowSet(), population.Columns());
  for (size_t m = 0; m < population.size(); ++m) {
    EXPECT_EQ(none.outcomes[m], Outcome::kEmpty);
    EXPECT_EQ(none.losses[m], 0.0f);
  }
  ExpectUnchanged(population, before, "no rows");

  MB_REQUIRES(HasFeature("ragged_rows"));
  const std::vector<int64_t> offsets = {0, 2, 2, 4};
  const StepResult some =
      population.Step(*data, {rows_, offsets}, population.Columns());
  EXPECT_EQ(some.outcomes[0], Outcome::kStepped);
  EXPECT_EQ(some.outcomes[1], Outcome::kEmpty);
  EXPECT_EQ(some.outcomes[2], Outcome::kStepped);
  EXPECT_EQ(some.losses[1], 0.0f);
  ExpectSameState(population.Save(1), before[1], true, "empty subset");
}

TEST_F(Step, WithoutUpdateNothingChangesAndGradientsAreRead) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  const StepResult result =
      population.Step(*data, {rows_, {}}, population.Columns(), {},
                      /*keep_gradients=*/true, /*update=*/false);
  ExpectUnchanged(population, before, "update = false");
  for (size_t m = 0; m < population.size(); ++m) {
    EXPECT_EQ(result.outcomes[m], Outcome::kStepped);
    EXPECT_GT(result.losses[m], 0.0f);
  }
  // d(mean square)/d(last bias) = 2 / (rows * outputs) * sum over rows of
  // (output - target).
  std::vector<Tensor> outputs;
  const absl::Status forward =
      population.session().Forward({data.get(), {rows_, {}}}, &outputs);
  if (absl::IsUnimplemented(forward)) GTEST_SKIP() << forward;
  ASSERT_TRUE(forward.ok()) << forward;
  const Tensor targets = NoiseTensor(2, {kRows, kOutputs});
  for (size_t m = 0; m < population.size(); ++m) {
    const Tensor gradient = population.Read(m, "grad", "2.bias");
    double loss = 0;
    for (int64_t j = 0; j < kOutputs; ++j) {
      double expected = 0;
      for (size_t i = 0; i < rows_.size(); ++i) {
        const double d =
            static_cast<double>(outputs[m].data<float>()[i * kOutputs + j]) -
            targets.data<float>()[rows_[i] * kOutputs + j];
        expected += 2 * d / static_cast<double>(rows_.size() * kOutputs);
        loss += d * d / static_cast<double>(rows_.size() * kOutputs);
      }
      EXPECT_NEAR(gradient.data<float>()[j], expected, 1e-5);
    }
    EXPECT_NEAR(result.losses[m], loss, 1e-5);
  }
}

// Two operators in double, for models small enough to follow.
TEST_F(Step, ForwardIsTheFormula) {
  Population population = Make();
  const auto data = Data();
  std::vector<Tensor> outputs;
  const absl::Status status =
      population.session().Forward({data.get(), {rows_, {}}}, &outputs);
  if (absl::IsUnimplemented(status)) GTEST_SKIP() << status;
  ASSERT_TRUE(status.ok()) << status;
  const Tensor features = NoiseTensor(1, kShape);
  ASSERT_EQ(outputs.size(), population.size());
  for (size_t m = 0; m < population.size(); ++m) {
    const Tensor w0 = population.Read(m, "param", "0.weight");
    const Tensor b0 = population.Read(m, "param", "0.bias");
    const Tensor w2 = population.Read(m, "param", "2.weight");
    const Tensor b2 = population.Read(m, "param", "2.bias");
    const int64_t width = b0.size();
    ASSERT_EQ(outputs[m].shape(),
              (Shape{static_cast<int64_t>(rows_.size()), kOutputs}));
    for (size_t r = 0; r < rows_.size(); ++r) {
      const float* const x = features.data<float>() + rows_[r] * kFeatures;
      std::vector<double> hidden(width);
      for (int64_t h = 0; h < width; ++h) {
        double sum = b0.data<float>()[h];
        for (int64_t k = 0; k < kFeatures; ++k) {
          sum +=
              static_cast<double>(w0.data<float>()[h * kFeatures + k]) * x[k];
        }
        hidden[h] = std::max(sum, 0.0);
      }
      for (int64_t j = 0; j < kOutputs; ++j) {
        double sum = b2.data<float>()[j];
        for (int64_t h = 0; h < width; ++h) {
          sum += w2.data<float>()[j * width + h] * hidden[h];
        }
        EXPECT_NEAR(outputs[m].data<float>()[r * kOutputs + j], sum, 1e-5);
      }
    }
  }
}

TEST_F(Step, EvaluationTakesAnyNumberOfRowsAndChangesNothing) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  std::vector<int32_t> many;  // more than kMaxRows
  for (int i = 0; i < 50; ++i) many.push_back(i % kRows);
  EvaluateResult result;
  Check(population.session().Evaluate({data.get(), {many, {}}, {}}, &result));
  for (size_t m = 0; m < population.size(); ++m) {
    EXPECT_GT(result.losses[m], 0.0);
    EXPECT_EQ(result.correct[m], -1);
  }
  Check(population.session().Evaluate({data.get(), RowSet(), {}}, &result));
  EXPECT_EQ(result.losses[0], 0.0);
  ExpectUnchanged(population, before, "evaluation");
}

// The others with, and without, a model that meets a NaN.
TEST_F(Step, ANonFiniteLossIsThatModelsProblem) {
  Population poisoned = Make(), clean = Make();
  const auto data = Data();
  // A NaN of the model itself, so that all may see the same rows.
  Tensor nan = poisoned.Read(1, "param", "0.bias");
  nan.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  poisoned.Write(1, "param", "0.bias", nan);
  Tensor output_nan = poisoned.Read(1, "param", "2.bias");
  output_nan.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  poisoned.Write(1, "param", "2.bias", output_nan);
  const Snapshot before = poisoned.Save(1);
  for (int i = 0; i < 3; ++i) {
    const StepResult result =
        poisoned.Step(*data, {rows_, {}}, poisoned.Columns());
    clean.Step(*data, {rows_, {}}, clean.Columns());
    EXPECT_EQ(result.outcomes[0], Outcome::kStepped);
    EXPECT_EQ(result.outcomes[1], Outcome::kNonFiniteLoss);
    EXPECT_EQ(result.outcomes[2], Outcome::kStepped);
    EXPECT_FALSE(std::isfinite(result.losses[1]));
  }
  ExpectSameState(poisoned.Save(1), before, true, "the poisoned model");
  for (size_t m : {0, 2}) {
    ExpectSameState(poisoned.Save(m), clean.Save(m), exact_, "its neighbour");
  }
}

TEST_F(Step, NaNFeaturesAreTheProblemOfTheModelsThatSeeThem) {
  MB_REQUIRES(HasFeature("ragged_rows"));
  Population poisoned = Make(), clean = Make();
  Tensor features = NoiseTensor(1, kShape);
  // In rows 4 and 5, which only model 1 sees.
  for (int64_t k = 0; k < kFeatures; ++k) {
    features.data<float>()[4 * kFeatures + k] =
        std::numeric_limits<float>::quiet_NaN();
    features.data<float>()[5 * kFeatures + k] =
        std::numeric_limits<float>::infinity();
  }
  const auto bad = DataWith(std::move(features));
  const auto good = Data();
  const std::vector<int32_t> rows = {0, 1, 2, 4, 5, 3, 0, 1, 6};
  const std::vector<int64_t> offsets = {0, 3, 5, 9};
  const std::vector<Snapshot> before = poisoned.SaveAll();
  const StepResult result =
      poisoned.Step(*bad, {rows, offsets}, poisoned.Columns());
  clean.Step(*good, {rows, offsets}, clean.Columns());
  EXPECT_EQ(result.outcomes[1], Outcome::kNonFiniteLoss);
  ExpectSameState(poisoned.Save(1), before[1], true, "the poisoned model");
  for (size_t m : {0, 2}) {
    EXPECT_EQ(result.outcomes[m], Outcome::kStepped);
    ExpectSameState(poisoned.Save(m), clean.Save(m), exact_, "its neighbour");
  }
}

// Outputs 0, targets 1e15, features 1e30: the loss is 1e30, the weight's
// gradient, 2e45, is beyond float.
TEST_F(Step, ANonFiniteGradientOfAFiniteLossIsNoStep) {
  ModelSpec spec({1});
  spec.Linear(1);
  Population population(backend(), {{0, 0, spec}, {1, 1, spec}}, "mse", 1);
  population.SetOptimizer("sgd");
  const auto data =
      Get(backend().CreateDataset(Tensor::FromVector<float>({1e30f}, {1, 1}),
                                  Tensor::FromVector<float>({1e15f}, {1, 1})));
  const std::vector<Snapshot> before = population.SaveAll();
  const std::vector<int32_t> rows = {0};
  const std::vector<uint8_t> active = {0, 1};
  const StepResult result =
      population.Step(*data, {rows, {}}, population.Columns(), active);
  EXPECT_EQ(result.outcomes[1], Outcome::kNonFiniteGradient);
  EXPECT_NEAR(result.losses[1], 1e30, 1e25);
  ExpectUnchanged(population, before, "non-finite gradient");
}

void ExpectRefused(const absl::Status& status, const std::string& text) {
  EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsOutOfRange(status))
      << status;
  EXPECT_NE(status.message().find(text), absl::string_view::npos)
      << status << " does not name " << text;
}

TEST_F(Step, BadRowsAreRefusedAndChangeNothing) {
  Population population = Make();
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  const std::vector<Column> columns = population.Columns();
  const std::vector<int32_t> beyond = {0, 8};
  ExpectRefused(population.TryStep(*data, {beyond, {}}, columns), "8");
  const std::vector<int32_t> negative = {0, -1};
  ExpectRefused(population.TryStep(*data, {negative, {}}, columns), "-1");
  const std::vector<int32_t> many = {0, 1, 2, 3, 4, 5, 6};
  ExpectRefused(population.TryStep(*data, {many, {}}, columns), "6");
  EvaluateResult evaluation;
  ExpectRefused(population.session().Evaluate({data.get(), {beyond, {}}, {}},
                                              &evaluation),
                "8");
  if (HasFeature("ragged_rows")) {
    const std::vector<int32_t> rows = {0, 1, 2, 3, 4, 5, 6, 7};
    const std::vector<int64_t> offsets = {0, 0, 7, 8};
    ExpectRefused(population.TryStep(*data, {rows, offsets}, columns), "7");
  }
  ExpectUnchanged(population, before, "bad rows");
}

TEST_F(Step, BadLabelsAreRefusedAndChangeNothing) {
  MB_REQUIRES(HasLoss("cross_entropy"));
  Population population(backend(), Models(), "cross_entropy", kMaxRows);
  population.WriteNoise();
  population.SetOptimizer("sgd");
  const std::vector<Snapshot> before = population.SaveAll();
  for (const int64_t label : {kOutputs, int64_t{-1}, int64_t{1} << 40}) {
    Tensor labels = Labels(1, kRows, kOutputs);
    labels.data<int64_t>()[3] = label;
    const auto data =
        Get(backend().CreateDataset(NoiseTensor(1, kShape), std::move(labels)));
    ExpectRefused(population.TryStep(*data, {rows_, {}}, population.Columns()),
                  std::to_string(label));
    EvaluateResult evaluation;
    EXPECT_FALSE(population.session()
                     .Evaluate({data.get(), {rows_, {}}, {}}, &evaluation)
                     .ok());
  }
  ExpectUnchanged(population, before, "bad labels");
}

TEST_F(Step, DataThatDoesNotFitIsRefusedAndChangesNothing) {
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  const auto refused = [&](Tensor features, Tensor targets, const char* what) {
    const auto data =
        backend().CreateDataset(std::move(features), std::move(targets));
    const absl::Status status =
        data.ok()
            ? population.TryStep(**data, {rows_, {}}, population.Columns())
            : data.status();
    EXPECT_TRUE(absl::IsInvalidArgument(status) ||
                absl::IsFailedPrecondition(status))
        << what << ": " << status;
  };
  refused(NoiseTensor(1, {kRows, kFeatures + 1}),
          NoiseTensor(2, {kRows, kOutputs}), "more features");
  refused(NoiseTensor(1, {kRows, kFeatures - 1}),
          NoiseTensor(2, {kRows, kOutputs}), "fewer features");
  refused(NoiseTensor(1, kShape), NoiseTensor(2, {kRows, kOutputs + 1}),
          "more targets");
  refused(NoiseTensor(1, kShape), Labels(2, kRows, kOutputs),
          "classes for mse");
  refused(NoiseTensor(1, kShape), Tensor(), "no targets");
  ExpectUnchanged(population, before, "data that does not fit");
}

TEST_F(Step, ColumnsMustBeTheOptimizers) {
  Population population = Make("sgd");
  const auto data = Data();
  const std::vector<Snapshot> before = population.SaveAll();
  std::vector<Column> missing = population.Columns();
  for (size_t i = 0; i < missing.size(); ++i) {
    if (missing[i].name == "lr") missing.erase(missing.begin() + i);
  }
  ExpectRefused(population.TryStep(*data, {rows_, {}}, missing), "lr");
  std::vector<Column> unknown = population.Columns();
  unknown.push_back({"learning_rate", {1, 1, 1}});
  ExpectRefused(population.TryStep(*data, {rows_, {}}, unknown),
                "learning_rate");
  ExpectUnchanged(population, before, "wrong columns");
}

TEST_F(Step, AStepNeedsAnOptimizer) {
  Population population(backend(), Models(), "mse", kMaxRows);
  const auto data = Data();
  const absl::Status status = population.TryStep(*data, {rows_, {}}, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(status) ||
              absl::IsInvalidArgument(status))
      << status;
}

}  // namespace
}  // namespace modelbatch::conformance
