// The columns that change a model's gradient before its update: scale,
// clip_value, clip_norm, in this order, each model's own.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int64_t kRows = 6;
constexpr int64_t kFeatures = 5;
constexpr int64_t kOutputs = 3;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using FloatGradients = std::map<std::string, std::vector<float>>;
using DoubleGradients = std::map<std::string, std::vector<double>>;

struct Clip {
  double scale = 1;
  double value = kInfinity;
  double norm = kInfinity;
};

// torch.nn.utils.clip_grad_value_ and clip_grad_norm_ (2.11), after the scale,
// in double.
DoubleGradients Formula(const FloatGradients& gradients, const Clip& clip) {
  DoubleGradients result;
  double squares = 0;
  for (const auto& [name, values] : gradients) {
    for (const double g : values) {
      const double clamped =
          std::min(std::max(g * clip.scale, -clip.value), clip.value);
      result[name].push_back(clamped);
      squares += clamped * clamped;
    }
  }
  const double factor =
      clip.norm == kInfinity
          ? 1
          : std::min(1.0, clip.norm / (std::sqrt(squares) + 1e-6));
  for (auto& [name, values] : result) {
    for (double& g : values) g *= factor;
  }
  return result;
}

// Needs linear, relu, mse and sgd, which every useful backend has.
class Clipping : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasOperator("relu") &&
                HasLoss("mse") && HasOptimizer("sgd"));
    exact_ = HasFeature("bitwise_independence");
    data_ = Get(backend().CreateDataset(NoiseTensor(1, {kRows, kFeatures}),
                                        NoiseTensor(2, {kRows, kOutputs})));
  }

  Population Make(size_t count, const std::string& optimizer = "sgd") {
    std::vector<ModelInstance> models;
    for (size_t m = 0; m < count; ++m) {
      const int64_t i = static_cast<int64_t>(m);
      ModelSpec spec({kFeatures});
      spec.Linear(HasFeature("mixed_widths") ? 1 + 5 * i : 4)
          .Relu()
          .Linear(kOutputs);
      models.push_back({40 + i, 0, spec});
    }
    Population population(backend(), models, "mse", kRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    return population;
  }

  static std::vector<Column> ColumnsOf(const std::vector<Clip>& clips) {
    std::vector<Column> columns = {
        {"clip_norm", {}}, {"gradient_scale", {}}, {"clip_value", {}}};
    for (const Clip& clip : clips) {
      columns[0].values.push_back(clip.norm);
      columns[1].values.push_back(clip.scale);
      columns[2].values.push_back(clip.value);
    }
    return columns;
  }
  static std::vector<Column> Join(std::vector<Column> a,
                                  const std::vector<Column>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  void KeepGradients(Population& population) {
    population.Step(*data_, rows_, {}, {}, /*keep_gradients=*/true,
                    /*update=*/false);
  }

  const std::vector<int32_t> row_list_ = {0, 3, 1, 5};
  const RowSet rows_ = {row_list_, {}};
  std::unique_ptr<Dataset> data_;
  bool exact_ = false;
};

TEST_F(Clipping, IsRefusedByPluginsThatDoNotClaimIt) {
  if (HasFeature("gradient_clipping")) {
    GTEST_SKIP() << "the plugin claims gradient_clipping";
  }
  Population population = Make(2);
  const std::vector<Snapshot> before = population.SaveAll();
  for (const char* name : {"gradient_scale", "clip_value", "clip_norm"}) {
    const absl::Status status = population.TryStep(
        *data_, rows_, Join(population.Columns(), {{name, {1, 1}}}));
    EXPECT_TRUE(absl::IsUnimplemented(status) ||
                absl::IsInvalidArgument(status))
        << status;
    EXPECT_NE(status.message().find(name), absl::string_view::npos) << status;
  }
  for (size_t m = 0; m < 2; ++m) {
    ExpectSameState(population.Save(m), before[m], true, "refused columns");
  }
}

// In a step and in an update: the update is made from the formula's gradient,
// and that is what slot "grad" shows afterwards.
TEST_F(Clipping, IsTheFormula) {
  MB_REQUIRES(HasFeature("gradient_clipping"));
  const std::vector<Clip> clips = {
      {},
      {-0.5, kInfinity, kInfinity},
      {1, 0.05, kInfinity},
      {1, kInfinity, 0.1},
      {3, 0.04, 0.03},
      {0.25, 0.02, 1e3},
      {1, 0, kInfinity},
      {1, kInfinity, 0},
      {0, 1, 1},
      {1, 1e300, 1e300},
  };
  constexpr double kRate = 0.5;
  for (const bool in_parts : {false, true}) {
    if (in_parts && !HasFeature("gradients")) continue;
    SCOPED_TRACE(in_parts ? "Update" : "TrainStep");
    Population population = Make(clips.size());
    KeepGradients(population);
    const std::vector<Column> columns =
        Join(ColumnsOf(clips), population.Columns({{"lr", kRate}}));
    std::vector<DoubleGradients> expected;
    std::vector<std::map<std::string, Tensor>> before(clips.size());
    for (size_t m = 0; m < clips.size(); ++m) {
      expected.push_back(Formula(population.Gradients(m), clips[m]));
      for (const Parameter& p : population.layout(m).parameters) {
        before[m][p.name] = population.Read(m, "param", p.name);
      }
    }
    const std::vector<Outcome> outcomes =
        in_parts ? population.Update(columns)
                 : population
                       .Step(*data_, rows_, columns, {},
                             /*keep_gradients=*/true)
                       .outcomes;
    EXPECT_EQ(outcomes, std::vector<Outcome>(clips.size(), Outcome::kStepped));
    for (size_t m = 0; m < clips.size(); ++m) {
      const FloatGradients got = population.Gradients(m);
      for (const Parameter& p : population.layout(m).parameters) {
        const Tensor after = population.Read(m, "param", p.name);
        for (int64_t e = 0; e < after.size(); ++e) {
          const double g = expected[m][p.name][e];
          ASSERT_NEAR(got.at(p.name)[e], g, 1e-6 * std::abs(g) + 1e-8)
              << "model " << m << ", " << p.name;
          ASSERT_NEAR(after.data<float>()[e],
                      before[m][p.name].data<float>()[e] - kRate * g, 1e-6)
              << "model " << m << ", " << p.name;
        }
      }
    }
  }
}

// The formula's cases are seen: clipping by value and by norm, in this order,
// make another gradient than in the other.
TEST_F(Clipping, TheOrderMatters) {
  const FloatGradients gradient = {{"a", {3, -0.5}}, {"b", {1}}};
  const DoubleGradients value_first = Formula(gradient, {1, 1, 1});
  const DoubleGradients norm_first = [&] {
    FloatGradients clipped;
    for (const auto& [name, values] : Formula(gradient, {1, kInfinity, 1})) {
      clipped[name].assign(values.begin(), values.end());
    }
    return Formula(clipped, {1, 1, kInfinity});
  }();
  EXPECT_NEAR(value_first.at("a")[0], 1 / 1.5, 1e-6);
  EXPECT_NEAR(norm_first.at("a")[0], 3 / std::sqrt(10.25), 1e-6);
}

TEST_F(Clipping, WhatDoesNotBindChangesNoBit) {
  MB_REQUIRES(HasFeature("gradient_clipping"));
  const std::string optimizer = HasOptimizer("adam") ? "adam" : "sgd";
  Population with = Make(4, optimizer), without = Make(4, optimizer);
  const std::vector<Column> none = ColumnsOf(
      {{}, {1, 1e30, kInfinity}, {1, kInfinity, 1e30}, {1, 1e30, 1e30}});
  for (int step = 0; step < 3; ++step) {
    with.Step(*data_, rows_, Join(with.Columns(), none));
    without.Step(*data_, rows_, without.Columns());
  }
  for (size_t m = 0; m < 4; ++m) {
    ExpectSameState(with.Save(m), without.Save(m), exact_, "not clipped");
  }
}

// With an optimizer's state too, and over several steps.
TEST_F(Clipping, AnUpdateClipsAsAStepDoes) {
  MB_REQUIRES(HasFeature("gradient_clipping") && HasFeature("gradients"));
  for (const std::string& optimizer : KnownOptimizers()) {
    if (!HasOptimizer(optimizer)) continue;
    SCOPED_TRACE(optimizer);
    Population steps = Make(3, optimizer), parts = Make(3, optimizer);
    const std::vector<Column> columns =
        Join(steps.Columns({{"momentum", 0.9}, {"lr", 0.05}}),
             ColumnsOf({{2, 0.05, 0.1}, {}, {1, kInfinity, 0.05}}));
    for (int step = 0; step < 3; ++step) {
      steps.Step(*data_, rows_, columns);
      KeepGradients(parts);
      parts.Update(columns);
    }
    for (size_t m = 0; m < 3; ++m) {
      ExpectSameState(parts.Save(m), steps.Save(m), exact_, "in parts");
    }
  }
}

TEST_F(Clipping, InactiveModelsAreNotClipped) {
  MB_REQUIRES(HasFeature("gradient_clipping") && HasFeature("gradients"));
  Population population = Make(2);
  KeepGradients(population);
  const FloatGradients before = population.Gradients(0);
  const std::vector<uint8_t> active = {0, 1};
  population.Update(
      Join(population.Columns(), ColumnsOf({{2, 0.01, 0.01}, {2, 0.01, 0.01}})),
      active);
  EXPECT_EQ(population.Gradients(0), before);
}

TEST_F(Clipping, BadValuesAreRefusedAndChangeNothing) {
  MB_REQUIRES(HasFeature("gradient_clipping"));
  Population population = Make(3);
  KeepGradients(population);
  const std::vector<Snapshot> before = population.SaveAll();
  const FloatGradients kept = population.Gradients(1);
  const auto refused = [&](const char* name, double bad) {
    SCOPED_TRACE(std::string(name) + " = " + std::to_string(bad));
    const std::vector<Column> columns =
        Join(population.Columns(), {{name, {1, bad, 1}}});
    std::vector<absl::Status> statuses = {
        population.TryStep(*data_, rows_, columns)};
    if (HasFeature("gradients")) {
      std::vector<Outcome> outcomes;
      statuses.push_back(population.session().Update({columns, {}}, &outcomes));
    }
    for (const absl::Status& status : statuses) {
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
      EXPECT_NE(status.message().find(name), absl::string_view::npos) << status;
      EXPECT_NE(status.message().find("41"), absl::string_view::npos)
          << status << " does not name the model";
    }
  };
  for (const char* name : {"gradient_scale", "clip_value", "clip_norm"}) {
    refused(name, kNan);
    refused(name, -kInfinity);
  }
  refused("gradient_scale", kInfinity);
  refused("clip_value", -1e-9);
  refused("clip_norm", -1);
  for (size_t m = 0; m < 3; ++m) {
    ExpectSameState(population.Save(m), before[m], true, "bad columns");
  }
  EXPECT_EQ(population.Gradients(1), kept);
}

// 1e300 is no float: the gradient is not finite any more.
TEST_F(Clipping, AScaleThatOverflowsIsNoUpdateOfThatModel) {
  MB_REQUIRES(HasFeature("gradient_clipping"));
  // With and without a norm, which is infinite then.
  for (const Clip& clip :
       {Clip{1e300, kInfinity, kInfinity}, Clip{-1e300, kInfinity, 1}}) {
    Population population = Make(2), clean = Make(2);
    const std::vector<Snapshot> before = population.SaveAll();
    const StepResult result = population.Step(
        *data_, rows_, Join(population.Columns(), ColumnsOf({clip, {}})));
    clean.Step(*data_, rows_, clean.Columns());
    EXPECT_EQ(result.outcomes[0], Outcome::kNonFiniteGradient);
    EXPECT_EQ(result.outcomes[1], Outcome::kStepped);
    ExpectSameState(population.Save(0), before[0], true, "overflow");
    ExpectSameState(population.Save(1), clean.Save(1), exact_, "its neighbour");
  }
}

// A float's largest, squared, is far within double: norms do not overflow.
TEST_F(Clipping, TheNormOfHugeGradientsIsFinite) {
  MB_REQUIRES(HasFeature("gradient_clipping") && HasFeature("gradients"));
  ModelSpec spec({1});
  spec.Linear(2);
  Population population(backend(), {{0, 0, spec}}, "mse", 1);
  population.SetOptimizer("sgd");
  const auto data = Get(backend().CreateDataset(
      Tensor::Zeros(DType::kFloat32, {1, 1}), Tensor()));
  const std::vector<int32_t> rows = {0};
  std::vector<Tensor> gradients;
  gradients.push_back(Tensor::FromVector<float>({3e38f, -3e38f}, {1, 2}));
  population.Backward(*data, {rows, {}}, gradients);
  EXPECT_EQ(population.Update(Join(population.Columns({{"lr", 1}}),
                                   ColumnsOf({{1, kInfinity, 2}}))),
            std::vector<Outcome>{Outcome::kStepped});
  const Tensor bias = population.Read(0, "param", "0.bias");
  EXPECT_NEAR(bias.data<float>()[0], -std::sqrt(2), 1e-6);
  EXPECT_NEAR(bias.data<float>()[1], std::sqrt(2), 1e-6);
}

}  // namespace
}  // namespace modelbatch::conformance
