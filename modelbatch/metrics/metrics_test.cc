// What the metrics make of rows that do not count, of outputs that are not
// finite and of input that does not fit. Their numbers on ordinary input are
// compared with scikit-learn's in //tests/metrics.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/metrics/classification.h"
#include "modelbatch/metrics/regression.h"

namespace modelbatch {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor Rows(const std::vector<float>& values, int64_t columns) {
  return Tensor::FromVector(
      values, {static_cast<int64_t>(values.size()) / columns, columns});
}

Tensor Labels(const std::vector<int64_t>& values) {
  return Tensor::FromVector(values, {static_cast<int64_t>(values.size())});
}

std::vector<int64_t> Cells(const Tensor& confusion) {
  const int64_t* data = confusion.data<int64_t>();
  return {data, data + confusion.size()};
}

template <typename T>
void ExpectError(const absl::StatusOr<T>& result, const std::string& message) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(result.status().message(), message);
}

// Two rows count: label 0 predicted 1, label 2 predicted 2. Class 1 is a
// prediction only.
TEST(ClassificationMetricsTest, IgnoredRowsDoNotCount) {
  ClassificationOptions options;
  options.ignore_index = 7;
  options.top_k = 2;
  const Tensor outputs = Rows({1, 2, 0, 0, 0, 5, 9, 0, 0}, 3);
  const Tensor labels = Labels({0, 2, 7});
  const auto all =
      ComputeClassificationMetrics({&outputs, 1}, {&labels, 1}, options);
  ASSERT_TRUE(all.ok()) << all.status();
  const ClassificationMetrics& m = (*all)[0];
  EXPECT_EQ(m.rows, 2);
  EXPECT_EQ(m.accuracy, 0.5);
  EXPECT_EQ(m.top_k_accuracy, 1);
  EXPECT_THAT(Cells(m.confusion), ElementsAre(0, 1, 0, 0, 0, 0, 0, 0, 1));
  EXPECT_THAT(m.precision, ElementsAre(0, 0, 1));
  EXPECT_THAT(m.recall, ElementsAre(0, 0, 1));
  EXPECT_THAT(m.f1, ElementsAre(0, 0, 1));
  EXPECT_DOUBLE_EQ(m.macro_f1, 1.0 / 3);
}

// A class that is nobody's label or prediction is no part of the means.
TEST(ClassificationMetricsTest, AbsentClassesAreNoPartOfMeans) {
  const Tensor outputs = Rows({1, 0, 0, 0, 1, 0}, 3);
  const Tensor labels = Labels({0, 1});
  const auto all = ComputeClassificationMetrics({&outputs, 1}, {&labels, 1});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ((*all)[0].macro_precision, 1);
  EXPECT_EQ((*all)[0].macro_recall, 1);
  EXPECT_EQ((*all)[0].macro_f1, 1);
  EXPECT_THAT((*all)[0].recall, ElementsAre(1, 1, 0));
}

TEST(ClassificationMetricsTest, WithoutRowsRatiosAreNaN) {
  const Tensor none = Rows({}, 3), ignored = Rows({1, 2, 3}, 3);
  const Tensor removed;
  for (const auto& [outputs, labels] :
       {std::pair<const Tensor&, Tensor>(none, Labels({})),
        std::pair<const Tensor&, Tensor>(ignored, Labels({-100}))}) {
    const auto all = ComputeClassificationMetrics({&outputs, 1}, {&labels, 1});
    ASSERT_TRUE(all.ok()) << all.status();
    const ClassificationMetrics& m = (*all)[0];
    EXPECT_EQ(m.rows, 0);
    EXPECT_THAT(
        (std::vector<double>{m.accuracy, m.top_k_accuracy, m.macro_precision,
                             m.macro_recall, m.macro_f1}),
        Each(IsNan()));
    EXPECT_THAT(m.precision, ElementsAre(IsNan(), IsNan(), IsNan()));
    EXPECT_THAT(Cells(m.confusion), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0));
  }
  const Tensor labels = Labels({1});
  const auto all = ComputeClassificationMetrics({&removed, 1}, {&labels, 1});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ((*all)[0].rows, 0);
  EXPECT_EQ((*all)[0].confusion.shape(), Shape{0});
}

// torch.argmax: the first of the largest, NaN above all. Top-k sorts the same
// way.
TEST(ClassificationMetricsTest, TiesAndNonFiniteOutputs) {
  const struct {
    std::vector<float> outputs;
    int64_t predicted;
  } cases[] = {
      {{1, 1, 1}, 0},       {{0, 2, 2}, 1},         {{kNaN, kInf, kNaN}, 0},
      {{kInf, kNaN, 0}, 1}, {{-kInf, -kInf, 0}, 2}, {{-kInf, -kInf, -kInf}, 0},
      {{5, kInf, kInf}, 1}, {{0, -0.0f, -1}, 0},
  };
  for (const auto& c : cases) {
    const Tensor outputs = Rows(c.outputs, 3);
    for (int64_t label = 0; label < 3; ++label) {
      const Tensor labels = Labels({label});
      const auto all =
          ComputeClassificationMetrics({&outputs, 1}, {&labels, 1});
      ASSERT_TRUE(all.ok()) << all.status();
      EXPECT_EQ(Cells((*all)[0].confusion)[label * 3 + c.predicted], 1);
      EXPECT_EQ((*all)[0].accuracy, label == c.predicted);
      EXPECT_EQ((*all)[0].top_k_accuracy, label == c.predicted);
    }
  }
}

TEST(ClassificationMetricsTest, SharedAndPerModelTargets) {
  // Two models, two rows: the rank tells whose the labels are.
  const Tensor outputs =
      Tensor::FromVector<float>({1, 0, 0, 1, 0, 1, 0, 1}, {2, 2, 2});
  const auto shared = ComputeClassificationMetrics(outputs, Labels({0, 1}));
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ((*shared)[0].accuracy, 1);
  EXPECT_EQ((*shared)[1].accuracy, 0.5);
  const auto own = ComputeClassificationMetrics(
      outputs, Tensor::FromVector<int64_t>({1, 0, 1, 1}, {2, 2}));
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ((*own)[0].accuracy, 0);
  EXPECT_EQ((*own)[1].accuracy, 1);
}

TEST(ClassificationMetricsTest, ErrorsNameModelAndRow) {
  std::vector<Tensor> outputs, labels;
  outputs.push_back(Rows({1, 2, 3}, 3));
  outputs.push_back(Rows({1, 2, 3, 4}, 2));
  labels.push_back(Labels({0}));
  labels.push_back(Labels({1, 2}));
  ExpectError(ComputeClassificationMetrics(outputs, labels),
              "model 1: target of row 1 is class 2, expected 0 to 1 or "
              "ignore_index, -100");
  ExpectError(ComputeClassificationMetrics(outputs, {&labels[0], 1}),
              "model 1: targets are int64 [1], expected class indices, int64 "
              "[2]");
  labels.push_back(Labels({1}));
  ExpectError(ComputeClassificationMetrics(outputs, labels),
              "3 tensors of targets for the outputs of 2 models, expected 1, "
              "for all, or 2");
  labels.pop_back();
  ClassificationOptions options;
  options.top_k = 3;
  ExpectError(ComputeClassificationMetrics(outputs, labels, options),
              "model 1: top_k is 3, expected 1 to the number of classes, 2");
  outputs[0] = Labels({1});
  ExpectError(ComputeClassificationMetrics(outputs, labels),
              "model 0: outputs are int64 [1], expected float32 [rows, 1]");
  ExpectError(ComputeClassificationMetrics(Rows({1, 2}, 2), labels[0]),
              "outputs are float32 [1, 2], expected float32 [num_models, "
              "batch, ...]");
  ExpectError(
      ComputeClassificationMetrics(Tensor::Zeros(DType::kFloat32, {2, 4, 3}),
                                   Tensor::Zeros(DType::kInt64, {3, 4})),
      "targets are int64 [3, 4], expected [4] for all models or [2, 4]");
  ExpectError(ClassificationCounter::Create(0),
              "number of classes is 0, expected at least 1");
}

TEST(ClassificationMetricsTest, ARefusedTensorAddsNothing) {
  auto counter = ClassificationCounter::Create(2);
  ASSERT_TRUE(counter->Add(Rows({1, 0}, 2), Labels({0})).ok());
  EXPECT_FALSE(counter->Add(Rows({1, 0, 1, 0}, 2), Labels({0, 2})).ok());
  EXPECT_FALSE(counter->Add(Rows({1, 0, 0}, 3), Labels({0})).ok());
  EXPECT_EQ(counter->Metrics().rows, 1);
}

RegressionMetrics Regression(const std::vector<float>& outputs,
                             const std::vector<float>& targets,
                             int64_t columns = 1) {
  const Tensor x = Rows(outputs, columns), t = Rows(targets, columns);
  const auto all = ComputeRegressionMetrics({&x, 1}, {&t, 1});
  EXPECT_TRUE(all.ok()) << all.status();
  return all.ok() ? (*all)[0] : RegressionMetrics();
}

TEST(RegressionMetricsTest, WithoutRowsNaN) {
  const RegressionMetrics m = Regression({}, {}, 2);
  EXPECT_EQ(m.rows, 0);
  EXPECT_THAT((std::vector<double>{m.mse, m.mae, m.rmse, m.r2}), Each(IsNan()));
}

TEST(RegressionMetricsTest, OneRowHasNoR2) {
  const RegressionMetrics m = Regression({1}, {3});
  EXPECT_EQ(m.mse, 4);
  EXPECT_EQ(m.mae, 2);
  EXPECT_EQ(m.rmse, 2);
  EXPECT_THAT(m.r2, IsNan());
}

// As sklearn.metrics.r2_score with force_finite.
TEST(RegressionMetricsTest, ConstantTargets) {
  EXPECT_EQ(Regression({0.1f, 0.1f, 0.1f}, {0.1f, 0.1f, 0.1f}).r2, 1);
  EXPECT_EQ(Regression({0.1f, 0.1f, 0.2f}, {0.1f, 0.1f, 0.1f}).r2, 0);
}

// One model's NaN is that model's.
TEST(RegressionMetricsTest, NonFiniteOutputsSpread) {
  std::vector<Tensor> outputs;
  outputs.push_back(Rows({1, kNaN}, 1));
  outputs.push_back(Rows({1, 2}, 1));
  outputs.push_back(Rows({1, kInf}, 1));
  const Tensor targets = Rows({1, 2}, 1);
  const auto all = ComputeRegressionMetrics(outputs, {&targets, 1});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT((*all)[0].mse, IsNan());
  EXPECT_THAT((*all)[0].r2, IsNan());
  EXPECT_EQ((*all)[1].mse, 0);
  EXPECT_EQ((*all)[1].r2, 1);
  EXPECT_EQ((*all)[2].mae, std::numeric_limits<double>::infinity());
}

// The logits of probabilities that exp overflows for.
TEST(RegressionMetricsTest, SigmoidOfLargeOutputs) {
  RegressionOptions options;
  options.sigmoid = true;
  const Tensor outputs = Rows({1000, -1000, 0}, 1),
               targets = Rows({1, 0, 1}, 1);
  const auto all =
      ComputeRegressionMetrics({&outputs, 1}, {&targets, 1}, options);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_DOUBLE_EQ((*all)[0].mae, 0.5 / 3);
}

TEST(RegressionMetricsTest, HowRowsAreCutChangesNoBit) {
  std::vector<float> outputs, targets;
  for (int i = 0; i < 60; ++i) {
    outputs.push_back(0.37f * static_cast<float>(i * i % 17));
    targets.push_back(1e3f + 0.11f * static_cast<float>(i * 7 % 23));
  }
  const RegressionMetrics whole = Regression(outputs, targets, 2);
  auto counter = RegressionCounter::Create(2);
  for (int row = 0; row < 30; row += 3) {
    const auto piece = [row](const std::vector<float>& all) {
      return Rows({all.begin() + 2 * row, all.begin() + 2 * (row + 3)}, 2);
    };
    ASSERT_TRUE(counter->Add(piece(outputs), piece(targets)).ok());
  }
  const RegressionMetrics pieces = counter->Metrics();
  EXPECT_EQ(pieces.mse, whole.mse);
  EXPECT_EQ(pieces.mae, whole.mae);
  EXPECT_EQ(pieces.r2, whole.r2);
}

TEST(RegressionMetricsTest, ErrorsNameTheModel) {
  std::vector<Tensor> outputs;
  outputs.push_back(Rows({1, 2}, 2));
  outputs.push_back(Rows({1, 2, 3, 4}, 2));
  const Tensor targets = Rows({1, 2}, 2);
  ExpectError(ComputeRegressionMetrics(outputs, {&targets, 1}),
              "model 1: targets are float32 [1, 2], expected float32 [2, 2], "
              "the outputs' shape");
  outputs[0] = Labels({1});
  ExpectError(ComputeRegressionMetrics(outputs, {&targets, 1}),
              "model 0: outputs are int64 [1], expected float32 [rows, ...] "
              "with 1 values a row");
  outputs[0] = Tensor::Zeros(DType::kFloat32, {3, 0});
  ExpectError(ComputeRegressionMetrics(outputs, {&targets, 1}),
              "model 0: number of values of a row is 0, expected at least 1");
  ExpectError(
      ComputeRegressionMetrics(Tensor::Zeros(DType::kFloat32, {2, 4, 3}),
                               Tensor::Zeros(DType::kFloat32, {3, 4, 3})),
      "targets are float32 [3, 4, 3], expected [4, 3] for all models or [2, 4, "
      "3]");
}

TEST(RegressionMetricsTest, SharedAndPerModelTargets) {
  const Tensor outputs = Tensor::FromVector<float>({1, 2, 3, 4}, {2, 2, 1});
  const auto shared = ComputeRegressionMetrics(outputs, Rows({1, 2}, 1));
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ((*shared)[0].mse, 0);
  EXPECT_EQ((*shared)[1].mse, 4);
  const auto own = ComputeRegressionMetrics(outputs, outputs);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ((*own)[1].mse, 0);
}

}  // namespace
}  // namespace modelbatch
