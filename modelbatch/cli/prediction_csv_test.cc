#include "modelbatch/cli/prediction_csv.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

// Outputs whose softmax is exact: equal ones, or some that are far apart.
std::vector<Tensor> Logits(const std::vector<std::vector<float>>& models) {
  std::vector<Tensor> outputs;
  for (const std::vector<float>& values : models) {
    outputs.push_back(Tensor::FromVector(
        values, {static_cast<int64_t>(values.size()) / 2, 2}));
  }
  return outputs;
}

TEST(PredictionCsvTest, OneClassifier) {
  const Tensor labels = Tensor::FromVector(std::vector<int64_t>{0, 0, 1}, {3});
  const PredictionCsv csv(&labels, {17}, /*per_model=*/false);
  EXPECT_EQ(
      csv.Lines(*CombineOutputs(0, true, true, Logits({{0, 2000, 2000, 0}}))),
      "row,label,predicted,probability_0,probability_1,entropy\n"
      "0,0,1,0,1,0\n"
      "1,0,0,1,0,0\n");
  EXPECT_EQ(csv.Lines(*CombineOutputs(2, true, true, Logits({{-2000, 0}}))),
            "2,1,1,0,1,0\n");
}

TEST(PredictionCsvTest, SeveralClassifiers) {
  const Tensor none;
  const std::string ln2 = "0.6931471805599453";
  EXPECT_EQ(PredictionCsv(&none, {3, 9}, /*per_model=*/true)
                .Lines(*CombineOutputs(
                    0, true, true, Logits({{0, 2000, 5, 5}, {2000, 0, 5, 5}}))),
            "row,predicted,probability_0,probability_1,entropy,spread_0,"
            "spread_1,votes_0,votes_1,mutual_information,model_3_predicted,"
            "model_3_probability_0,model_3_probability_1,model_9_predicted,"
            "model_9_probability_0,model_9_probability_1\n"
            "0,0,0.5,0.5," +
                ln2 + ",0.5,0.5,1,1," + ln2 +
                ",1,0,1,0,1,0\n"
                "1,0,0.5,0.5," +
                ln2 + ",0,0,2,0,0,0,0.5,0.5,0,0.5,0.5\n");
}

TEST(PredictionCsvTest, Regression) {
  const Tensor targets =
      Tensor::FromVector(std::vector<float>{0.1f, 2, 3, 4}, {2, 2});
  EXPECT_EQ(
      PredictionCsv(&targets, {0, 1}, /*per_model=*/true)
          .Lines(*CombineOutputs(0, false, true,
                                 Logits({{1, -2, 0.5f, 4}, {3, 2, 0.5f, 8}}))),
      "row,target_0,target_1,prediction_0,prediction_1,spread_0,spread_1,"
      "min_0,min_1,max_0,max_1,model_0_prediction_0,model_0_prediction_1,"
      "model_1_prediction_0,model_1_prediction_1\n"
      "0,0.10000000149011612,2,2,0,1,2,1,-2,3,2,1,-2,3,2\n"
      "1,3,4,0.5,6,0,2,0.5,4,0.5,8,0.5,4,0.5,8\n");
  const Tensor none;
  EXPECT_EQ(PredictionCsv(&none, {0}, /*per_model=*/false)
                .Lines(*CombineOutputs(0, false, true, Logits({{1, -2}}))),
            "row,prediction_0,prediction_1\n0,1,-2\n");
}

}  // namespace
}  // namespace modelbatch
