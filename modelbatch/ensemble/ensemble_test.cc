#include "modelbatch/ensemble/ensemble.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor Floats(std::vector<float> values, Shape shape) {
  return Tensor::FromVector(values, std::move(shape));
}

std::vector<Tensor> Two(Tensor first, Tensor second) {
  std::vector<Tensor> tensors;
  tensors.push_back(std::move(first));
  tensors.push_back(std::move(second));
  return tensors;
}

// One row; the logits are logarithms, so that the probabilities are known.
std::vector<Tensor> Disagreeing() {
  return Two(Floats({std::log(0.9f), std::log(0.1f)}, {1, 2}),
             Floats({std::log(0.2f), std::log(0.8f)}, {1, 2}));
}

double H(double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); }

TEST(CombineClassifiersTest, MeanSpreadAndInformationByHand) {
  const auto all = CombineClassifiers(Disagreeing());
  ASSERT_TRUE(all.ok()) << all.status();
  const double* p = all->probabilities.data<double>();
  EXPECT_NEAR(p[0], 0.55, 1e-7);
  EXPECT_NEAR(p[1], 0.45, 1e-7);
  EXPECT_EQ(all->predicted.data<int64_t>()[0], 0);
  EXPECT_NEAR(all->spread.data<double>()[0], 0.35, 1e-7);
  EXPECT_NEAR(all->spread.data<double>()[1], 0.35, 1e-7);
  EXPECT_NEAR(all->entropy.data<double>()[0], H(0.55), 1e-7);
  EXPECT_NEAR(all->mutual_information.data<double>()[0],
              H(0.55) - (H(0.9) + H(0.2)) / 2, 1e-7);
}

TEST(CombineClassifiersTest, WeightsAreNormalised) {
  for (double scale : {1.0, 1e-300, 1.1e308}) {
    const auto all =
        CombineClassifiers(Disagreeing(), {0.5 * scale, 1.5 * scale});
    ASSERT_TRUE(all.ok()) << all.status();
    const double mean = 0.25 * 0.9 + 0.75 * 0.2;
    EXPECT_NEAR(all->probabilities.data<double>()[0], mean, 1e-7);
    EXPECT_NEAR(all->spread.data<double>()[0],
                std::sqrt(0.25 * (0.9 - mean) * (0.9 - mean) +
                          0.75 * (0.2 - mean) * (0.2 - mean)),
                1e-7);
    EXPECT_NEAR(all->mutual_information.data<double>()[0],
                H(mean) - 0.25 * H(0.9) - 0.75 * H(0.2), 1e-7);
    EXPECT_EQ(all->predicted.data<int64_t>()[0], 1);
  }
}

// Ties go to the lower class: a model's, the votes' and the mean's.
TEST(CombineClassifiersTest, Ties) {
  const auto votes = CombineClassifiers(
      Two(Floats({0, 0, 9}, {1, 3}), Floats({-1, 5, 5}, {1, 3})));
  ASSERT_TRUE(votes.ok()) << votes.status();
  EXPECT_EQ(votes->votes.data<int64_t>()[0], 0);
  EXPECT_EQ(votes->votes.data<int64_t>()[1], 1);
  EXPECT_EQ(votes->votes.data<int64_t>()[2], 1);
  EXPECT_EQ(votes->majority.data<int64_t>()[0], 1);
  EXPECT_EQ(votes->predicted.data<int64_t>()[0], 2);
  const auto mean = CombineClassifiers(
      Two(Floats({-4, 3, 3}, {1, 3}), Floats({-4, 3, 3}, {1, 3})));
  ASSERT_TRUE(mean.ok()) << mean.status();
  EXPECT_EQ(mean->predicted.data<int64_t>()[0], 1);
}

// exp(3e38) is infinite in any format, exp(-3e38) zero.
TEST(CombineClassifiersTest, HugeLogitsDoNotOverflow) {
  const auto all = CombineClassifiers(
      Two(Floats({3e38f, -3e38f}, {1, 2}), Floats({-3e38f, 3e38f}, {1, 2})));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->probabilities.data<double>()[0], 0.5);
  EXPECT_EQ(all->probabilities.data<double>()[1], 0.5);
  EXPECT_EQ(all->spread.data<double>()[0], 0.5);
  EXPECT_DOUBLE_EQ(all->entropy.data<double>()[0], std::log(2));
  EXPECT_DOUBLE_EQ(all->mutual_information.data<double>()[0], std::log(2));
}

TEST(CombineClassifiersTest, OneModelIsItself) {
  std::vector<Tensor> one;
  one.push_back(Floats({1, 2, 3, 0, 0, 0}, {2, 3}));
  const auto all = CombineClassifiers(one);
  const auto p = Softmax(one[0]);
  ASSERT_TRUE(all.ok() && p.ok());
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(all->probabilities.data<double>()[i], p->data<double>()[i]);
    EXPECT_EQ(all->spread.data<double>()[i], 0);
  }
  EXPECT_EQ(all->mutual_information.data<double>()[0], 0);
  EXPECT_EQ(all->mutual_information.data<double>()[1], 0);
  EXPECT_DOUBLE_EQ(all->entropy.data<double>()[1], std::log(3));
}

TEST(CombineClassifiersTest, NoRows) {
  const auto all = CombineClassifiers(Two(Floats({}, {0, 3}),  //
                                          Floats({}, {0, 3})));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->probabilities.shape(), (Shape{0, 3}));
  EXPECT_EQ(all->entropy.shape(), (Shape{0}));
}

TEST(CombineRegressorsTest, ByHand) {
  const auto all = CombineRegressors(
      Two(Floats({1, -8}, {2, 1}), Floats({4, 2}, {2, 1})), {2, 1});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_DOUBLE_EQ(all->mean.data<double>()[0], 2);
  EXPECT_DOUBLE_EQ(all->spread.data<double>()[0], std::sqrt(2));
  EXPECT_EQ(all->min.data<double>()[0], 1);
  EXPECT_EQ(all->max.data<double>()[0], 4);
  EXPECT_DOUBLE_EQ(all->mean.data<double>()[1], -14.0 / 3);
  EXPECT_EQ(all->min.data<double>()[1], -8);
  EXPECT_EQ(all->max.data<double>()[1], 2);
}

struct BadEnsemble {
  std::vector<Tensor> outputs;
  std::vector<double> weights;
  std::string message;
};

TEST(EnsembleErrorTest, NameTheModelAndWhatWasExpected) {
  const auto ones = [](Shape shape) {
    Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
    return tensor;
  };
  const double nan = std::nan("");
  std::vector<BadEnsemble> cases;
  cases.push_back({{}, {}, "no outputs, expected those of at least one model"});
  cases.push_back({Two(ones({2, 3}), Tensor::Zeros(DType::kFloat64, {2, 3})),
                   {},
                   "the output of model 1 is float64, expected float32"});
  cases.push_back({Two(ones({6}), ones({6})),
                   {},
                   "the output of model 0 has the shape [6], expected [rows, "
                   "outputs] with at least one output"});
  cases.push_back({Two(ones({2, 0}), ones({2, 0})),
                   {},
                   "the output of model 0 has the shape [2, 0], expected "
                   "[rows, outputs] with at least one output"});
  cases.push_back({Two(ones({2, 3}), ones({2, 4})),
                   {},
                   "the output of model 1 has the shape [2, 4], expected "
                   "[2, 3] as that of model 0"});
  cases.push_back({Two(ones({2, 3}), ones({3, 3})),
                   {},
                   "the output of model 1 has the shape [3, 3], expected "
                   "[2, 3] as that of model 0"});
  cases.push_back({Two(ones({2, 2}), Floats({0, 0, 0, std::nanf("")}, {2, 2})),
                   {},
                   "the output of model 1 has nan at [1, 1], expected a finite "
                   "number"});
  cases.push_back({Two(Floats({0, kInf, 0, 0}, {2, 2}), ones({2, 2})),
                   {},
                   "the output of model 0 has inf at [0, 1], expected a finite "
                   "number"});
  const auto weighted = [&](std::vector<double> weights, const char* message) {
    cases.push_back(
        {Two(ones({1, 2}), ones({1, 2})), std::move(weights), message});
  };
  weighted({1}, "1 weights, expected one a model, 2");
  weighted({1, 1, 1}, "3 weights, expected one a model, 2");
  weighted({1, -1},
           "the weight of model 1 is -1, expected a finite number from 0 on");
  weighted({nan, 1},
           "the weight of model 0 is nan, expected a finite number from 0 on");
  weighted({1, static_cast<double>(kInf)},
           "the weight of model 1 is inf, expected a finite number from 0 on");
  weighted({0, 0}, "all weights are 0, expected one above 0");
  for (const BadEnsemble& bad : cases) {
    const absl::Status statuses[] = {
        CombineClassifiers(bad.outputs, bad.weights).status(),
        CombineRegressors(bad.outputs, bad.weights).status()};
    for (const absl::Status& status : statuses) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(status.message(), bad.message);
    }
  }
  EXPECT_EQ(Softmax(ones({4})).status().message(),
            "the tensor of logits has the shape [4], expected [rows, outputs] "
            "with at least one output");
}

}  // namespace
}  // namespace modelbatch
