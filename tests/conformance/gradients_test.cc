// The parts of a step: what Backward, accumulation, Update and ZeroGrad do, and
// that a plugin without the feature "gradients" refuses them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
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
constexpr int kModels = 3;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Outcomes = std::vector<Outcome>;
using DoubleGradients = std::map<std::string, std::vector<double>>;

std::vector<double> Doubles(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

// Slot "grad" times `factor`.
DoubleGradients Kept(Population& population, size_t m, double factor = 1) {
  DoubleGradients result;
  for (const auto& [name, values] : population.Gradients(m)) {
    for (const float g : values) result[name].push_back(factor * g);
  }
  return result;
}

// Needs linear, relu, mse and sgd, which every useful backend has.
class Gradients : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasOperator("relu") &&
                HasLoss("mse") && HasOptimizer("sgd"));
    exact_ = HasFeature("bitwise_independence");
    data_ = Get(backend().CreateDataset(features_.Clone(), targets_.Clone()));
  }

  Population Make(const std::string& optimizer) {
    std::vector<ModelInstance> models;
    for (int m = 0; m < kModels; ++m) {
      ModelSpec spec({kFeatures});
      spec.Linear(HasFeature("mixed_widths") ? 4 + 9 * m : 4)
          .Relu()
          .Linear(kOutputs);
      models.push_back({m, static_cast<uint64_t>(m), spec});
    }
    Population population(backend(), models, "mse", kMaxRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    return population;
  }
  // With as much state as the plugin has.
  Population Make() { return Make(HasOptimizer("adam") ? "adam" : "sgd"); }

  // Noise, [rows of each model, kOutputs].
  static std::vector<Tensor> OutputGradients(uint64_t stream,
                                             const RowSet& rows) {
    std::vector<Tensor> result;
    for (size_t m = 0; m < kModels; ++m) {
      result.push_back(NoiseTensor(
          stream + m,
          {static_cast<int64_t>(RowsOf(rows, m).size()), kOutputs}));
    }
    return result;
  }

  // Adds to `sum`, in double: dW2 = dY^T H, db2 = column sums of dY, dH = dY W2
  // where H > 0, dW0 = dH^T X, db0 = column sums of dH.
  void AddFormula(Population& population, size_t m, const RowSet& rows,
                  const Tensor& output_gradient, DoubleGradients* sum) const {
    const std::vector<double> w0 =
        Doubles(population.Read(m, "param", "0.weight"));
    const std::vector<double> b0 =
        Doubles(population.Read(m, "param", "0.bias"));
    const std::vector<double> w2 =
        Doubles(population.Read(m, "param", "2.weight"));
    const size_t width = b0.size();
    auto& dw0 = (*sum)["0.weight"];
    auto& db0 = (*sum)["0.bias"];
    auto& dw2 = (*sum)["2.weight"];
    auto& db2 = (*sum)["2.bias"];
    dw0.resize(w0.size()), db0.resize(width);
    dw2.resize(w2.size()), db2.resize(kOutputs);
    const absl::Span<const int32_t> own = RowsOf(rows, m);
    for (size_t r = 0; r < own.size(); ++r) {
      const float* const x = features_.data<float>() + own[r] * kFeatures;
      const float* const dy = output_gradient.data<float>() + r * kOutputs;
      for (int64_t j = 0; j < kOutputs; ++j) db2[j] += dy[j];
      for (size_t h = 0; h < width; ++h) {
        double hidden = b0[h];
        for (int64_t k = 0; k < kFeatures; ++k) {
          hidden += w0[h * kFeatures + k] * x[k];
        }
        if (hidden <= 0) continue;
        double dh = 0;
        for (int64_t j = 0; j < kOutputs; ++j) {
          dw2[j * width + h] += dy[j] * hidden;
          dh += dy[j] * w2[j * width + h];
        }
        db0[h] += dh;
        for (int64_t k = 0; k < kFeatures; ++k) {
          dw0[h * kFeatures + k] += dh * x[k];
        }
      }
    }
  }

  // Slot "grad" is `expected`, and of each parameter there is some.
  static void ExpectGradients(Population& population, size_t m,
                              const DoubleGradients& expected) {
    const auto got = population.Gradients(m);
    ASSERT_EQ(got.size(), expected.size());
    for (const auto& [name, values] : got) {
      const std::vector<double>& formula = expected.at(name);
      ASSERT_EQ(values.size(), formula.size());
      double error = 0, norm = 0;
      for (size_t e = 0; e < values.size(); ++e) {
        error += (values[e] - formula[e]) * (values[e] - formula[e]);
        norm += formula[e] * formula[e];
      }
      EXPECT_GT(norm, 0) << "the test sees nothing";
      EXPECT_LE(std::sqrt(error), 1e-5 * std::sqrt(norm))
          << "model " << m << ", " << name;
    }
  }
  static void ExpectZeroGradients(Population& population, size_t m) {
    for (const auto& [name, values] : population.Gradients(m)) {
      EXPECT_EQ(values, std::vector<float>(values.size(), 0.0f))
          << "model " << m << ", " << name;
    }
  }
  void ExpectNoGradients(Population& population) {
    for (size_t m = 0; m < population.size(); ++m) {
      const absl::Status status =
          population.session().ReadState(m, "grad", "0.bias").status();
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    }
    Outcomes outcomes;
    const std::vector<Column> columns = population.Columns();
    const absl::Status status =
        population.session().Update({columns, {}}, &outcomes);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
  static void ExpectUnchanged(Population& population,
                              const std::vector<Snapshot>& before,
                              const std::string& what) {
    for (size_t m = 0; m < population.size(); ++m) {
      ExpectSameState(population.Save(m), before[m], true,
                      what + ", model " + std::to_string(m));
    }
  }

  const Tensor features_ = NoiseTensor(1, {kRows, kFeatures});
  const Tensor targets_ = NoiseTensor(2, {kRows, kOutputs});
  const std::vector<int32_t> row_list_ = {0, 3, 1, 5};
  const RowSet rows_ = {row_list_, {}};
  std::unique_ptr<Dataset> data_;
  bool exact_ = false;
};

TEST_F(Gradients, AreRefusedByPluginsThatDoNotClaimThem) {
  if (HasFeature("gradients")) GTEST_SKIP() << "the plugin claims gradients";
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  Outcomes outcomes;
  const std::vector<Tensor> gradients = OutputGradients(7, rows_);
  const std::vector<Column> columns = population.Columns();
  StepRequest accumulate;
  accumulate.dataset = data_.get();
  accumulate.rows = rows_;
  accumulate.keep_gradients = true;
  accumulate.update = false;
  accumulate.accumulate = true;
  StepResult result;
  std::vector<Tensor> outputs;
  Session& session = population.session();
  for (const absl::Status& status :
       {session.Backward({data_.get(), rows_, {}, gradients}, &outcomes),
        session.Update({columns, {}}, &outcomes), session.ZeroGrad(false),
        session.ZeroGrad(true), session.TrainStep(accumulate, &result),
        session.Forward({data_.get(), rows_, true}, &outputs)}) {
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_FALSE(status.message().empty());
  }
  ExpectUnchanged(population, before, "refused calls");
}

TEST_F(Gradients, BackwardIsTheFormula) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  const std::vector<Tensor> gradients = OutputGradients(7, rows_);
  const std::vector<uint8_t> active = {1, 0, 1};
  EXPECT_EQ(
      population.Backward(*data_, rows_, gradients, active),
      (Outcomes{Outcome::kStepped, Outcome::kInactive, Outcome::kStepped}));
  for (const size_t m : {0, 2}) {
    DoubleGradients expected;
    AddFormula(population, m, rows_, gradients[m], &expected);
    ExpectGradients(population, m, expected);
  }
  ExpectZeroGradients(population, 1);
  ExpectUnchanged(population, before, "Backward");
}

TEST_F(Gradients, BackwardOfEachModelsOwnRowsIsTheFormula) {
  MB_REQUIRES(HasFeature("gradients") && HasFeature("ragged_rows"));
  Population population = Make();
  const std::vector<int32_t> rows = {6, 2, 2, 7, 0, 4, 1};
  const std::vector<int64_t> offsets = {0, 1, 1, 7};
  const RowSet ragged = {rows, offsets};
  const std::vector<Tensor> gradients = OutputGradients(17, ragged);
  EXPECT_EQ(population.Backward(*data_, ragged, gradients),
            (Outcomes{Outcome::kStepped, Outcome::kEmpty, Outcome::kStepped}));
  for (const size_t m : {0, 2}) {
    DoubleGradients expected;
    AddFormula(population, m, ragged, gradients[m], &expected);
    ExpectGradients(population, m, expected);
  }
  ExpectZeroGradients(population, 1);
}

TEST_F(Gradients, BackwardNeedsNoTargets) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const auto data = Get(backend().CreateDataset(features_.Clone(), Tensor()));
  const std::vector<Tensor> gradients = OutputGradients(7, rows_);
  population.Backward(*data, rows_, gradients);
  DoubleGradients expected;
  AddFormula(population, 0, rows_, gradients[0], &expected);
  ExpectGradients(population, 0, expected);
}

TEST_F(Gradients, BackwardAddsUntilZeroed) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  ExpectNoGradients(population);
  Check(population.session().ZeroGrad(false));  // nothing to zero
  ExpectNoGradients(population);

  const std::vector<int32_t> others = {7, 2};
  const RowSet other_rows = {others, {}};
  const std::vector<Tensor> first = OutputGradients(7, rows_);
  const std::vector<Tensor> second = OutputGradients(27, other_rows);
  std::vector<DoubleGradients> expected(kModels);
  population.Backward(*data_, rows_, first);
  population.Backward(*data_, other_rows, second);
  for (size_t m = 0; m < kModels; ++m) {
    AddFormula(population, m, rows_, first[m], &expected[m]);
    AddFormula(population, m, other_rows, second[m], &expected[m]);
    ExpectGradients(population, m, expected[m]);
  }

  Check(population.session().ZeroGrad(false));
  for (size_t m = 0; m < kModels; ++m) ExpectZeroGradients(population, m);
  EXPECT_EQ(population.Update(population.Columns()),
            Outcomes(kModels, Outcome::kEmpty));
  ExpectUnchanged(population, before, "nothing added");

  population.Backward(*data_, rows_, first);
  Check(population.session().ZeroGrad(true));
  ExpectNoGradients(population);
  Check(population.session().ZeroGrad(true));  // again
  ExpectUnchanged(population, before, "released");

  population.Backward(*data_, rows_, first);
  for (size_t m = 0; m < kModels; ++m) {
    DoubleGradients anew;
    AddFormula(population, m, rows_, first[m], &anew);
    ExpectGradients(population, m, anew);
  }
}

TEST_F(Gradients, BadArgumentsOfBackwardAreRefusedAndChangeNothing) {
  MB_REQUIRES(HasFeature("gradients"));
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  const auto refused = [&](const RowSet& rows,
                           const std::vector<Tensor>& gradients,
                           const std::string& text) {
    Outcomes outcomes;
    const absl::Status status = population.session().Backward(
        {data_.get(), rows, {}, gradients}, &outcomes);
    EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsOutOfRange(status))
        << status;
    EXPECT_NE(status.message().find(text), absl::string_view::npos)
        << status << " does not name " << text;
  };
  const std::vector<int32_t> many = {0, 1, 2, 3, 4, 5, 6};
  refused({many, {}}, OutputGradients(7, {many, {}}), "6");
  const std::vector<int32_t> beyond = {0, 8};
  refused({beyond, {}}, OutputGradients(7, {beyond, {}}), "8");
  const std::vector<int32_t> negative = {-1, 0};
  refused({negative, {}}, OutputGradients(7, {negative, {}}), "-1");
  if (HasFeature("ragged_rows")) {
    const std::vector<int64_t> offsets = {0, 0, 7, 7};
    refused({many, offsets}, OutputGradients(7, {many, offsets}), "7");
  }
  // Of model 1.
  const auto refused_gradient = [&](Tensor bad) {
    std::vector<Tensor> gradients = OutputGradients(7, rows_);
    gradients[1] = std::move(bad);
    refused(rows_, gradients, "1");
  };
  refused_gradient(NoiseTensor(1, {4, kOutputs + 1}));
  refused_gradient(NoiseTensor(1, {3, kOutputs}));
  refused_gradient(NoiseTensor(1, {4}));
  refused_gradient(Tensor());
  refused_gradient(Tensor::Zeros(DType::kFloat64, {4, kOutputs}));
  ExpectNoGradients(population);
  ExpectUnchanged(population, before, "refused Backward");
  // Not those that are kept either.
  population.Backward(*data_, rows_, OutputGradients(7, rows_));
  const auto kept = population.Gradients(0);
  refused({beyond, {}}, OutputGradients(7, {beyond, {}}), "8");
  EXPECT_EQ(population.Gradients(0), kept);
}

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

// ---- Dropout.

class TrainingForward : public Gradients {
 protected:
  void SetUp() override {
    Gradients::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasFeature("gradients") && HasOperator("dropout"));
  }

  Population MakeWithDropout() {
    std::vector<ModelInstance> models;
    for (int m = 0; m < kModels; ++m) {
      ModelSpec spec({kFeatures});
      spec.Linear(16).Dropout(0.5).Linear(kOutputs);
      models.push_back({m, static_cast<uint64_t>(m), spec});
    }
    Population population(backend(), models, "mse", kMaxRows);
    population.WriteNoise();
    population.SetOptimizer("sgd");
    return population;
  }

  // The mean square error of `outputs` and what it makes of the last bias.
  double Loss(const Tensor& outputs, std::vector<double>* bias_gradient) const {
    const double n = static_cast<double>(row_list_.size() * kOutputs);
    double loss = 0;
    bias_gradient->assign(kOutputs, 0);
    for (size_t r = 0; r < row_list_.size(); ++r) {
      for (int64_t j = 0; j < kOutputs; ++j) {
        const double d =
            static_cast<double>(outputs.data<float>()[r * kOutputs + j]) -
            targets_.data<float>()[row_list_[r] * kOutputs + j];
        loss += d * d / n;
        (*bias_gradient)[j] += 2 * d / n;
      }
    }
    return loss;
  }

  static double Distance(const Tensor& a, const Tensor& b) {
    double sum = 0;
    for (int64_t e = 0; e < a.size(); ++e) {
      const double d =
          static_cast<double>(a.data<float>()[e]) - b.data<float>()[e];
      sum += d * d;
    }
    return std::sqrt(sum);
  }
};

TEST_F(TrainingForward, HasTheMaskOfTheNextStep) {
  Population population = MakeWithDropout();
  std::vector<Tensor> last;
  for (int step = 0; step < 3; ++step) {
    const auto outputs = population.Forward(*data_, rows_, true);
    const auto evaluated = population.Forward(*data_, rows_, false);
    const StepResult result = population.Step(
        *data_, rows_, {}, {}, /*keep_gradients=*/true, /*update=*/false);
    // The gradient of the loss by the outputs, for Backward.
    std::vector<Tensor> output_gradients;
    std::vector<DoubleGradients> of_step;
    for (size_t m = 0; m < kModels; ++m) {
      std::vector<double> expected;
      const double loss = Loss(outputs[m], &expected);
      EXPECT_NEAR(result.losses[m], loss, 1e-6 * loss);
      const Tensor bias = population.Read(m, "grad", "2.bias");
      for (int64_t j = 0; j < kOutputs; ++j) {
        EXPECT_NEAR(bias.data<float>()[j], expected[j], 1e-5);
      }
      EXPECT_GT(Distance(outputs[m], evaluated[m]), 0.1);
      if (step > 0) {
        EXPECT_GT(Distance(outputs[m], last[m]), 0.1);
      }
      of_step.push_back(Kept(population, m));
      Tensor gradient = outputs[m].Clone();
      for (int64_t e = 0; e < gradient.size(); ++e) {
        const int64_t row = row_list_[e / kOutputs];
        gradient.data<float>()[e] =
            2 *
            (outputs[m].data<float>()[e] -
             targets_.data<float>()[row * kOutputs + e % kOutputs]) /
            static_cast<float>(gradient.size());
      }
      output_gradients.push_back(std::move(gradient));
    }
    // Backward has the same mask, and none of these moved it.
    Check(population.session().ZeroGrad(false));
    population.Backward(*data_, rows_, output_gradients);
    for (size_t m = 0; m < kModels; ++m) {
      ExpectGradients(population, m, of_step[m]);
    }
    const auto again = population.Forward(*data_, rows_, true);
    for (size_t m = 0; m < kModels; ++m) {
      EXPECT_LT(Distance(again[m], outputs[m]), 1e-6);
    }
    // An update moves it: the weights stay as they are.
    const std::vector<Column> columns = population.Columns({{"lr", 0}});
    if (step == 0) {
      EXPECT_EQ(population.Update(columns),
                Outcomes(kModels, Outcome::kStepped));
    } else {
      population.Step(*data_, rows_, columns);
    }
    const auto unchanged = population.Forward(*data_, rows_, false);
    for (size_t m = 0; m < kModels; ++m) {
      EXPECT_LT(Distance(unchanged[m], evaluated[m]), 1e-6);
    }
    last.clear();
    for (const Tensor& output : outputs) last.push_back(output.Clone());
  }
}

TEST_F(TrainingForward, TakesAtMostTheRowsOfAStep) {
  Population population = MakeWithDropout();
  const std::vector<int32_t> rows = {0, 1, 2, 3, 4, 5, 6};
  const RowSet many = {rows, {}};
  std::vector<Tensor> outputs;
  const absl::Status status =
      population.session().Forward({data_.get(), many, true}, &outputs);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("6"), absl::string_view::npos) << status;
  EXPECT_EQ(population.Forward(*data_, many, false)[0].shape(),
            (Shape{7, kOutputs}));
}

// ---- Alone and among others.

TEST_F(Gradients, AModelAloneIsAsAmongOthers) {
  MB_REQUIRES(HasFeature("gradients"));
  const auto model = [this](int i) {
    ModelSpec spec({kFeatures});
    spec.Linear(HasFeature("mixed_widths") ? 3 + 7 * i : 9).Relu();
    if (HasOperator("dropout")) spec.Dropout(0.3);
    spec.Linear(kOutputs);
    return ModelInstance{100 + i, static_cast<uint64_t>(i), spec};
  };
  const auto train = [&](const std::vector<int>& members) {
    std::vector<ModelInstance> models;
    for (const int i : members) models.push_back(model(i));
    Population population(backend(), models, "mse", kMaxRows);
    population.WriteNoise();
    population.SetOptimizer(HasOptimizer("adam") ? "adam" : "sgd");
    std::vector<Column> columns = population.Columns({{"lr", 0.01}});
    if (HasFeature("gradient_clipping")) {
      columns.push_back({"gradient_scale", {}});
      columns.push_back({"clip_value", {}});
      columns.push_back({"clip_norm", {}});
      for (const int i : members) {
        const size_t c = columns.size();
        columns[c - 3].values.push_back(0.5 + i);
        columns[c - 2].values.push_back(0.1 * (1 + i));
        columns[c - 1].values.push_back(0.2 * (1 + i));
      }
    }
    for (int step = 0; step < 4; ++step) {
      for (int call = 0; call < 2; ++call) {
        std::vector<int32_t> rows;
        std::vector<int64_t> offsets = {0};
        std::vector<Tensor> gradients;
        for (const int i : members) {
          const int count = HasFeature("ragged_rows") ? 1 + i : 4;
          if (!HasFeature("ragged_rows")) rows.clear();
          for (int r = 0; r < count; ++r) {
            rows.push_back((3 * r + 5 * step + call) % kRows);
          }
          offsets.push_back(static_cast<int64_t>(rows.size()));
          gradients.push_back(
              NoiseTensor(1000 * i + 10 * step + call, {count, kOutputs}));
        }
        if (!HasFeature("ragged_rows")) offsets.clear();
        if (step % 2 == 0) {
          population.Backward(*data_, {rows, offsets}, gradients);
        } else {
          population.Accumulate(*data_, {rows, offsets});
        }
      }
      population.Update(columns);
      if (step != 2) Check(population.session().ZeroGrad(step == 1));
    }
    return population.SaveAll();
  };
  const std::vector<Snapshot> together = train({0, 1, 2, 3, 4});
  const std::vector<Snapshot> reversed = train({4, 3, 2, 1, 0});
  for (int i = 0; i < 5; ++i) {
    const Snapshot alone = train({i})[0];
    const std::string what = "model " + std::to_string(i);
    ExpectSameState(together[i], alone, exact_, what + " among others");
    ExpectSameState(reversed[4 - i], alone, exact_, what + " in another slot");
  }
}

}  // namespace
}  // namespace modelbatch::conformance
