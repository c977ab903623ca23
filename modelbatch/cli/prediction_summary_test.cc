#include "modelbatch/cli/prediction_summary.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<Tensor> Outputs(const std::vector<std::vector<float>>& models,
                            int64_t columns) {
  std::vector<Tensor> outputs;
  for (const std::vector<float>& values : models) {
    outputs.push_back(Tensor::FromVector(
        values, {static_cast<int64_t>(values.size()) / columns, columns}));
  }
  return outputs;
}

// Three models, four rows in two pieces. p of the mean for the right class:
// 1, 2/3, 1/3 and 1/2.
TEST(PredictionSummaryTest, Classes) {
  DataTable data;
  data.targets = Tensor::FromVector(std::vector<int64_t>{0, 1, 1, 0}, {4});
  PredictionSummary summary(&data, {4, 7, 9});
  summary.Add(*CombineOutputs(
      0, true, false,
      Outputs({{2000, 0, 0, 2000}, {2000, 0, 0, 2000}, {2000, 0, 2000, 0}},
              2)));
  summary.Add(*CombineOutputs(
      2, true, false,
      Outputs({{0, 2000, 0, 0}, {2000, 0, 0, 0}, {2000, 0, 0, 0}}, 2)));
  EXPECT_EQ(summary.Table(),
            "  row  label  predicted  probability  spread   votes  mutual "
            "information\n"
            "    0      0          0      100.0 %   0.0 %  3 of 3              "
            "     0\n"
            "    1      1          1       66.7 %  47.1 %  2 of 3              "
            "0.6365\n"
            "    2      1          0       66.7 %  47.1 %  2 of 3              "
            "0.6365\n"
            "    3      0          0       50.0 %   0.0 %  3 of 3              "
            "     0\n");
  // (0 - ln 2/3 - ln 1/3 - ln 1/2) / 4 = 0.5493; of the models 4, 3 and 2 rows
  // are right; the mutual information is H(2/3) twice, over 4.
  EXPECT_EQ(summary.Scores(),
            "Accuracy 75.0 % (3 of 4 rows), cross-entropy 0.5493\n"
            "Majority vote 75.0 % (3 of 4 rows)\n"
            "One model alone: best 100.0 % (model 4), worst 50.0 % (model 9), "
            "mean 75.0 %\n"
            "Mean mutual information 0.3183 (0: the models agree)\n");
}

// One sure model outweighs two that lean the other way: (1 + 2 x 0.269) / 3.
TEST(PredictionSummaryTest, TheMajorityMayDifferFromTheMean) {
  DataTable data;
  data.targets = Tensor::FromVector(std::vector<int64_t>{0}, {1});
  PredictionSummary summary(&data, {0, 1, 2});
  summary.Add(
      *CombineOutputs(0, true, false, Outputs({{0, 2000}, {1, 0}, {1, 0}}, 2)));
  EXPECT_THAT(summary.Scores(), HasSubstr("Accuracy 0.0 % (0 of 1 rows)"));
  EXPECT_THAT(summary.Scores(),
              HasSubstr("Majority vote 100.0 % (1 of 1 rows)"));
}

// As in training: neither in accuracies nor in losses.
TEST(PredictionSummaryTest, RowsOfTheIgnoredClassDoNotCount) {
  DataTable data;
  data.ignored_class = -100;
  data.targets =
      Tensor::FromVector(std::vector<int64_t>{-100, 1, -100, 0}, {4});
  PredictionSummary summary(&data, {0, 1});
  const std::vector<float> logits = {9, 0, 0, 2000, 0, 9, 0, 2000};
  summary.Add(*CombineOutputs(0, true, false, Outputs({logits, logits}, 2)));
  EXPECT_THAT(summary.Scores(), HasSubstr("Accuracy 50.0 % (1 of 2 rows)"));
  EXPECT_THAT(summary.Scores(), HasSubstr("best 50.0 % (model 0)"));
  EXPECT_THAT(summary.Table(), HasSubstr("\n    0   -100 "));
  data.targets = Tensor::FromVector(std::vector<int64_t>(4, -100), {4});
  PredictionSummary none(&data, {0});
  none.Add(*CombineOutputs(0, true, false, Outputs({logits}, 2)));
  EXPECT_EQ(none.Scores(), "No row has a label that counts\n");
}

TEST(PredictionSummaryTest, WithoutLabels) {
  const DataTable data;
  PredictionSummary summary(&data, {0});
  std::vector<float> logits;
  for (int row = 0; row < 12; ++row) {
    logits.insert(logits.end(), {0, row < 3 ? 9.0f : 0.0f, 5});
  }
  summary.Add(*CombineOutputs(0, true, false, Outputs({logits}, 3)));
  EXPECT_THAT(summary.Table(), HasSubstr("  row  predicted  probability\n"));
  EXPECT_THAT(summary.Table(), HasSubstr("\n    9 "));
  EXPECT_THAT(summary.Table(), Not(HasSubstr("\n   10 ")));
  EXPECT_THAT(summary.Table(), HasSubstr("..."));
  EXPECT_EQ(summary.Scores(),
            "Most frequent classes (class: rows): 2: 9, 1: 3\n");
}

TEST(PredictionSummaryTest, Values) {
  DataTable data;
  data.targets = Tensor::FromVector(std::vector<float>{1, 2, 3, 4}, {2, 2});
  PredictionSummary summary(&data, {5, 6});
  summary.Add(*CombineOutputs(0, false, false,
                              Outputs({{1, 2, 3, 8}, {3, 2, 1, 8}}, 2)));
  EXPECT_THAT(summary.Table(),
              HasSubstr("row  target 0  prediction 0  spread 0  target 1"));
  // Errors of the mean: 1, 0, -1, 4; of the models: 0 0 0 4 and 2 0 -2 4.
  EXPECT_EQ(summary.Scores(),
            "Mean squared error 4.5\n"
            "One model alone: best 4 (model 5), worst 6 (model 6), mean 5\n");
}

}  // namespace
}  // namespace modelbatch
