// Backward is the formula, adds up until it is zeroed and is the same alone and
// among others; a plugin without the feature "gradients" refuses it.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/gradients_fixture.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

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
