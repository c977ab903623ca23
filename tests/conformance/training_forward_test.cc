// Outputs in training mode have the dropout masks of the next step.
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/gradients_fixture.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

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

}  // namespace
}  // namespace modelbatch::conformance
