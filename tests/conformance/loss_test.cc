// Every loss that is claimed, with every attribute, against its formula in
// double; docs/operators.md has the formulas.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int64_t kRows = 12;
constexpr int64_t kMaxRows = 7;
constexpr int64_t kFeatures = 4;
constexpr int64_t kOutputs = 3;

using Row = std::vector<double>;

struct LossCase {
  std::string kind;
  Attributes attributes = {};
  int64_t ignored = -100;  // losses on classes: every fourth row's label

  bool classes() const { return kind == "cross_entropy" || kind == "nll"; }
  double Number(const std::string& name, double value) const {
    const auto it = attributes.find(name);
    return it == attributes.end() ? value : std::get<double>(it->second);
  }
  double Weight(const std::string& name, int64_t index) const {
    const auto it = attributes.find(name);
    return it == attributes.end()
               ? 1
               : std::get<std::vector<double>>(it->second)[index];
  }
};

std::vector<LossCase> Cases() {
  const AttributeValue weight = std::vector<double>{0.5, 2, 0};
  const AttributeValue first = int64_t{0};
  return {
      {"cross_entropy"},
      {"cross_entropy", {{"weight", weight}}},
      {"cross_entropy", {{"label_smoothing", 0.3}}},
      {"cross_entropy", {{"ignore_index", first}}, 0},
      {"cross_entropy",
       {{"label_smoothing", 0.3},
        {"weight", weight},
        {"ignore_index", int64_t{7}}},
       7},
      {"nll"},
      {"nll", {{"weight", weight}, {"ignore_index", int64_t{-1}}}, -1},
      {"bce_with_logits"},
      {"bce_with_logits", {{"pos_weight", weight}}},
      {"mse"},
      {"l1"},
      {"huber"},
      {"huber", {{"delta", 0.25}}},
      {"smooth_l1"},
      {"smooth_l1", {{"beta", 0.25}}},
      {"smooth_l1", {{"beta", 0.0}}},
  };
}

Tensor TargetsFor(const LossCase& loss) {
  if (loss.classes()) {
    Tensor targets = Labels(5, kRows, kOutputs);
    for (int64_t i = 3; i < kRows; i += 4) {
      targets.data<int64_t>()[i] = loss.ignored;
    }
    return targets;
  }
  Tensor targets = NoiseTensor(5, {kRows, kOutputs});
  if (loss.kind == "bce_with_logits") {
    for (int64_t e = 0; e < targets.size(); ++e) {
      targets.data<float>()[e] = 0.5f * (targets.data<float>()[e] + 1);
    }
  }
  return targets;
}

double MinusLogSoftmax(const Row& x, int64_t j) {
  double sum = 0;
  for (const double v : x) sum += std::exp(v);
  return std::log(sum) - x[j];
}

double ClassLoss(const LossCase& loss, const Row& x, int64_t label) {
  if (loss.kind == "nll") return -loss.Weight("weight", label) * x[label];
  const double s = loss.Number("label_smoothing", 0);
  double value =
      (1 - s) * loss.Weight("weight", label) * MinusLogSoftmax(x, label);
  for (int64_t j = 0; j < kOutputs; ++j) {
    value += s / kOutputs * loss.Weight("weight", j) * MinusLogSoftmax(x, j);
  }
  return value;
}

double ValueLoss(const LossCase& loss, double x, double t, int64_t column) {
  const double d = std::abs(x - t);
  if (loss.kind == "mse") return d * d;
  if (loss.kind == "l1") return d;
  if (loss.kind == "huber") {
    const double delta = loss.Number("delta", 1);
    return d < delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
  }
  if (loss.kind == "smooth_l1") {
    const double beta = loss.Number("beta", 1);
    return d < beta ? 0.5 * d * d / beta : d - 0.5 * beta;
  }
  const double sigmoid = 1 / (1 + std::exp(-x));
  return -loss.Weight("pos_weight", column) * t * std::log(sigmoid) -
         (1 - t) * std::log(1 - sigmoid);
}

// The mean over `rows` when every row's output is `x`.
double MeanLoss(const LossCase& loss, const Row& x, const Tensor& targets,
                const std::vector<int32_t>& rows) {
  double sum = 0, weight = 0;
  for (const int32_t row : rows) {
    if (loss.classes()) {
      const int64_t label = targets.data<int64_t>()[row];
      if (label == loss.ignored) continue;
      sum += ClassLoss(loss, x, label);
      weight += loss.Weight("weight", label);
      continue;
    }
    for (int64_t j = 0; j < kOutputs; ++j) {
      sum +=
          ValueLoss(loss, x[j], targets.data<float>()[row * kOutputs + j], j);
    }
    weight += kOutputs;
  }
  return weight == 0 ? 0 : sum / weight;
}

class Loss : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear"));
  }

  // Two linear models whose weights are 0: every row's output is the bias.
  Population Make(const LossCase& loss) {
    ModelSpec spec({kFeatures});
    spec.Linear(kOutputs);
    Population population(backend(), {{0, 0, spec}, {1, 1, spec}}, loss.kind,
                          kMaxRows, loss.attributes);
    for (size_t m = 0; m < 2; ++m) {
      population.Write(m, "param", "0.bias", NoiseTensor(40 + m, {kOutputs}));
    }
    return population;
  }
  std::unique_ptr<Dataset> Data(const LossCase& loss) {
    return Get(backend().CreateDataset(NoiseTensor(1, {kRows, kFeatures}),
                                       TargetsFor(loss)));
  }
  static Row Bias(Population& population, size_t model) {
    const Tensor bias = population.Read(model, "param", "0.bias");
    return Row(bias.data<float>(), bias.data<float>() + kOutputs);
  }
};

TEST_F(Loss, StepsFollowTheFormula) {
  const std::vector<int32_t> rows = {0, 3, 1, 11, 5, 6};
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind)) continue;
    SCOPED_TRACE(loss.kind);
    Population population = Make(loss);
    const Tensor targets = TargetsFor(loss);
    const StepResult result =
        population.Step(*Data(loss), {rows, {}}, {}, {},
                        /*keep_gradients=*/true, /*update=*/false);
    for (size_t m = 0; m < 2; ++m) {
      const Row x = Bias(population, m);
      EXPECT_EQ(result.outcomes[m], Outcome::kStepped);
      EXPECT_NEAR(result.losses[m], MeanLoss(loss, x, targets, rows), 1e-6);
      const Tensor gradient = population.Read(m, "grad", "0.bias");
      constexpr double kStep = 1e-6;
      for (int64_t j = 0; j < kOutputs; ++j) {
        Row above = x, below = x;
        above[j] += kStep;
        below[j] -= kStep;
        const double slope = (MeanLoss(loss, above, targets, rows) -
                              MeanLoss(loss, below, targets, rows)) /
                             (2 * kStep);
        EXPECT_NEAR(gradient.data<float>()[j], slope, 2e-6);
      }
    }
  }
}

// More rows than one step takes: the mean is that of all together.
TEST_F(Loss, EvaluationsFollowTheFormula) {
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < 30; ++i) rows.push_back(i * 5 % kRows);
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind)) continue;
    SCOPED_TRACE(loss.kind);
    Population population = Make(loss);
    const Tensor targets = TargetsFor(loss);
    const auto data = Data(loss);
    EvaluateResult result;
    Check(population.session().Evaluate({data.get(), {rows, {}}, {}}, &result));
    for (size_t m = 0; m < 2; ++m) {
      const Row x = Bias(population, m);
      EXPECT_NEAR(result.losses[m], MeanLoss(loss, x, targets, rows), 1e-6);
      int64_t correct = -1;
      if (loss.classes()) {
        const int64_t most = std::max_element(x.begin(), x.end()) - x.begin();
        correct = 0;
        for (const int32_t row : rows) {
          const int64_t label = targets.data<int64_t>()[row];
          correct += label != loss.ignored && label == most;
        }
      }
      EXPECT_EQ(result.correct[m], correct);
    }
  }
}

TEST_F(Loss, TheFirstOfEqualOutputsIsThePrediction) {
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind) || !loss.classes()) continue;
    SCOPED_TRACE(loss.kind);
    Population population = Make(loss);
    population.Write(0, "param", "0.bias",
                     Tensor::FromVector<float>({1, 2, 2}, {kOutputs}));
    const Tensor targets = TargetsFor(loss);
    const auto data = Data(loss);
    const std::vector<int32_t> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    EvaluateResult result;
    Check(population.session().Evaluate({data.get(), {rows, {}}, {}}, &result));
    const int64_t* const labels = targets.data<int64_t>();
    EXPECT_EQ(result.correct[0], std::count(labels, labels + kRows, 1));
  }
}

// Neither a step nor an evaluation finds anything in these rows.
EvaluateResult ExpectNoStep(Population& population, const Dataset& data,
                            const std::vector<int32_t>& rows) {
  const std::vector<Snapshot> before = population.SaveAll();
  const StepResult step =
      population.Step(data, {rows, {}}, population.Columns());
  EvaluateResult evaluation;
  Check(population.session().Evaluate({&data, {rows, {}}, {}}, &evaluation));
  for (size_t m = 0; m < population.size(); ++m) {
    EXPECT_EQ(step.outcomes[m], Outcome::kEmpty);
    EXPECT_EQ(step.losses[m], 0);
    EXPECT_EQ(evaluation.losses[m], 0);
    ExpectSameState(population.Save(m), before[m], true, "no row counts");
  }
  return evaluation;
}

TEST_F(Loss, WhereNoRowCountsThereIsNoStep) {
  const std::vector<int32_t> rows = {3, 7};
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind) || !loss.classes()) continue;
    SCOPED_TRACE(loss.kind);
    MB_REQUIRES(HasOptimizer("sgd"));
    Population population = Make(loss);
    population.SetOptimizer("sgd");
    const auto data = Data(loss);
    const std::vector<Snapshot> before = population.SaveAll();
    const EvaluateResult evaluation = ExpectNoStep(population, *data, rows);
    for (const int64_t correct : evaluation.correct) EXPECT_EQ(correct, 0);
    if (!HasFeature("ragged_rows")) continue;
    // Row 3 is ignored, row 0 is not; model 1 has the ignored one alone.
    const std::vector<int32_t> ragged = {0, 3, 3};
    const std::vector<int64_t> offsets = {0, 2, 3};
    const StepResult some =
        population.Step(*data, {ragged, offsets}, population.Columns());
    EXPECT_EQ(some.outcomes[1], Outcome::kEmpty);
    EXPECT_EQ(some.losses[1], 0);
    ExpectSameState(population.Save(1), before[1], true, "ignored alone");
    const Tensor targets = TargetsFor(loss);
    const int64_t label = targets.data<int64_t>()[0];
    const bool counts =
        label != loss.ignored && loss.Weight("weight", label) > 0;
    EXPECT_EQ(some.outcomes[0], counts ? Outcome::kStepped : Outcome::kEmpty);
  }
}

// Label smoothing gives such rows a term all the same.
TEST_F(Loss, WhereAllRowsAreOfClassesWithoutWeightThereIsNoStep) {
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind) || loss.attributes.count("weight") == 0) continue;
    if (!loss.classes()) continue;
    SCOPED_TRACE(loss.kind);
    MB_REQUIRES(HasOptimizer("sgd"));
    std::vector<int32_t> rows;
    const Tensor targets = TargetsFor(loss);
    for (int32_t row = 0; row < kRows; ++row) {
      const int64_t label = targets.data<int64_t>()[row];
      if (label == loss.ignored || loss.Weight("weight", label) > 0) continue;
      rows.push_back(row);
    }
    ASSERT_FALSE(rows.empty());
    Population population = Make(loss);
    population.SetOptimizer("sgd");
    const auto data = Data(loss);
    ExpectNoStep(population, *data, rows);
  }
}

// Its weights, its ignored rows and its mean are its own.
TEST_F(Loss, AModelAmongOthersStepsAsAlone) {
  MB_REQUIRES(HasFeature("ragged_rows"));
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  const std::vector<int32_t> rows = {0, 3, 1, 11, 5, 7, 3, 4, 2, 9, 8};
  const std::vector<int64_t> offsets = {0, 5, 7, 11};  // model 1: 3 and 7
  const auto make = [&](const LossCase& loss, int first, int count) {
    std::vector<ModelInstance> models;
    for (int id = first; id < first + count; ++id) {
      models.push_back({id, static_cast<uint64_t>(id), spec});
    }
    Population population(backend(), models, loss.kind, kMaxRows,
                          loss.attributes);
    population.WriteNoise();
    return population;
  };
  const auto step = [&](Population& population, const LossCase& loss,
                        const RowSet& seen) {
    return population.Step(*Data(loss), seen, {}, {}, /*keep_gradients=*/true,
                           /*update=*/false);
  };
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind)) continue;
    SCOPED_TRACE(loss.kind);
    Population together = make(loss, 0, 3);
    const StepResult all = step(together, loss, {rows, offsets});
    for (int m = 0; m < 3; ++m) {
      Population alone = make(loss, m, 1);
      const std::vector<int32_t> own(rows.begin() + offsets[m],
                                     rows.begin() + offsets[m + 1]);
      const StepResult one = step(alone, loss, {own, {}});
      EXPECT_EQ(all.outcomes[m], one.outcomes[0]);
      EXPECT_EQ(all.outcomes[m],
                loss.classes() && m == 1 ? Outcome::kEmpty : Outcome::kStepped);
      if (one.outcomes[0] != Outcome::kStepped) continue;
      const bool exact = HasFeature("bitwise_independence");
      EXPECT_NEAR(all.losses[m], one.losses[0], exact ? 0 : 1e-6);
      for (const char* name : {"0.weight", "0.bias"}) {
        const Tensor a = together.Read(m, "grad", name);
        const Tensor b = alone.Read(0, "grad", name);
        for (int64_t e = 0; e < a.size(); ++e) {
          EXPECT_NEAR(a.data<float>()[e], b.data<float>()[e], exact ? 0 : 1e-6);
        }
      }
    }
  }
}

// What each loss does with outputs far beyond what exp can take.
TEST_F(Loss, HugeOutputsDoNotOverflow) {
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind) || loss.kind == "mse") continue;
    SCOPED_TRACE(loss.kind);
    Population population = Make(loss);
    population.Write(0, "param", "0.bias",
                     Tensor::FromVector<float>({1e4f, -1e4f, 0}, {kOutputs}));
    population.Write(1, "param", "0.bias",
                     Tensor::FromVector<float>({-1e5f, 3, 1e5f}, {kOutputs}));
    const StepResult result =
        population.Step(*Data(loss), {std::vector<int32_t>{0, 1, 2}, {}}, {},
                        {}, /*keep_gradients=*/true, /*update=*/false);
    for (size_t m = 0; m < 2; ++m) {
      EXPECT_EQ(result.outcomes[m], Outcome::kStepped);
      EXPECT_LT(std::abs(result.losses[m]), 1e6);
      const Tensor gradient = population.Read(m, "grad", "0.bias");
      for (int64_t j = 0; j < kOutputs; ++j) {
        EXPECT_LT(std::abs(gradient.data<float>()[j]), 3);
      }
    }
  }
}

void ExpectRefused(const absl::Status& status, const std::string& text) {
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find(text), absl::string_view::npos)
      << status << " does not name " << text;
}

TEST_F(Loss, BadAttributesAreRefusedByName) {
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  const auto compile = [&](const std::string& kind, Attributes attributes) {
    return backend()
        .Compile({{{0, 0, spec}}, {kind, std::move(attributes)}, kRows, {}})
        .status();
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (HasLoss("cross_entropy")) {
    for (const double bad : {-0.1, 1.5, nan}) {
      ExpectRefused(compile("cross_entropy", {{"label_smoothing", bad}}),
                    "label_smoothing");
    }
    ExpectRefused(compile("cross_entropy", {{"weight", 1.0}}), "weight");
    ExpectRefused(
        compile("cross_entropy", {{"weight", std::vector<double>{1, 2}}}),
        "weight");
    ExpectRefused(
        compile("cross_entropy", {{"weight", std::vector<double>{1, -2, 1}}}),
        "weight");
    ExpectRefused(compile("cross_entropy", {{"ignore_index", 0.5}}),
                  "ignore_index");
  }
  if (HasLoss("nll")) {
    ExpectRefused(compile("nll", {{"label_smoothing", 0.1}}),
                  "label_smoothing");
  }
  if (HasLoss("bce_with_logits")) {
    ExpectRefused(compile("bce_with_logits",
                          {{"pos_weight", std::vector<double>{1, 1, 1, 1}}}),
                  "pos_weight");
  }
  if (HasLoss("huber")) {
    ExpectRefused(compile("huber", {{"delta", 0.0}}), "delta");
  }
  if (HasLoss("smooth_l1")) {
    ExpectRefused(compile("smooth_l1", {{"beta", -1.0}}), "beta");
  }
}

// An ignored label beyond all others does not hide a bad one.
TEST_F(Loss, BadLabelsBesideIgnoredOnesAreRefused) {
  MB_REQUIRES(HasLoss("cross_entropy"));
  for (const int64_t ignored : {-100, 100}) {
    const LossCase loss = {"cross_entropy", {{"ignore_index", ignored}}};
    Population population = Make(loss);
    const int64_t bad = ignored < 0 ? -1 : kOutputs;
    Tensor targets = Labels(5, kRows, kOutputs);
    for (const int64_t row : {2, 3, 9}) {
      targets.data<int64_t>()[row] = ignored;
    }
    targets.data<int64_t>()[4] = bad;
    const auto data = Get(backend().CreateDataset(
        NoiseTensor(1, {kRows, kFeatures}), std::move(targets)));
    const std::vector<int32_t> rows = {0, 4};
    EvaluateResult result;
    ExpectRefused(
        population.session().Evaluate({data.get(), {rows, {}}, {}}, &result),
        std::to_string(bad));
  }
}

TEST_F(Loss, TargetsThatAreNoProbabilitiesAreRefused) {
  MB_REQUIRES(HasLoss("bce_with_logits"));
  const LossCase loss = {"bce_with_logits"};
  Population population = Make(loss);
  population.SetOptimizer("none");
  for (const float bad :
       {1.5f, -0.25f, std::numeric_limits<float>::quiet_NaN()}) {
    Tensor targets = TargetsFor(loss);
    targets.data<float>()[8 * kOutputs + 1] = bad;
    const auto data = Get(backend().CreateDataset(
        NoiseTensor(1, {kRows, kFeatures}), std::move(targets)));
    const std::vector<int32_t> rows = {0, 8};
    EvaluateResult result;
    ExpectRefused(
        population.session().Evaluate({data.get(), {rows, {}}, {}}, &result),
        "row 8");
  }
}

TEST_F(Loss, TargetsOfTheOtherTypeAreRefused) {
  for (const LossCase& loss : Cases()) {
    if (!HasLoss(loss.kind)) continue;
    Population population = Make(loss);
    const auto data = Get(backend().CreateDataset(
        NoiseTensor(1, {kRows, kFeatures}),
        loss.classes() ? NoiseTensor(5, {kRows, kOutputs})
                       : Labels(5, kRows, kOutputs)));
    const std::vector<int32_t> rows = {0};
    EvaluateResult result;
    const absl::Status status =
        population.session().Evaluate({data.get(), {rows, {}}, {}}, &result);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << loss.kind << status;
  }
}

}  // namespace
}  // namespace modelbatch::conformance
