// The check that stands between a wrong contender and its figures.
#include "benchmarks/compare/agreement.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace modelbatch::benchmarks {
namespace {

class AgreementTest : public ::testing::Test {
 protected:
  AgreementTest() {
    for (const std::vector<float>& values : workload_.initial) {
      initial_.insert(initial_.end(), values.begin(), values.end());
    }
    // What Adam does first: every element moves by the learning rate.
    expected_ = initial_;
    for (size_t e = 0; e < expected_.size(); ++e) {
      expected_[e] += e % 2 == 0 ? 0.01f : -0.01f;
    }
  }

  const Workload workload_ = MakeWorkload(FindWorkload("mlp_ragged"), 3);
  std::vector<float> initial_, expected_;
};

TEST_F(AgreementTest, TheSameWeightsAgree) {
  EXPECT_EQ(LargestDifference(workload_, expected_, expected_), 0);
  EXPECT_TRUE(CheckMoved(workload_, expected_).ok());
}

TEST_F(AgreementTest, ALearningRateWrongByOnePercentDoesNotAgree) {
  // Of the last bias alone, ten numbers.
  std::vector<float> weights = expected_;
  for (size_t e = weights.size() - 10; e < weights.size(); ++e) {
    weights[e] = initial_[e] + 1.01f * (expected_[e] - initial_[e]);
  }
  const double difference = LargestDifference(workload_, weights, expected_);
  EXPECT_NEAR(difference, 0.01, 1e-4);
  EXPECT_GT(difference, kAgreement);
}

TEST_F(AgreementTest, OneWrongNumberDoesNotAgree) {
  std::vector<float> weights = expected_;
  weights[5] = initial_[5];
  EXPECT_GT(LargestDifference(workload_, weights, expected_), kAgreement);
}

TEST_F(AgreementTest, ANaNNeverAgreesAndIsNotForgotten) {
  std::vector<float> weights = expected_;
  weights[0] = std::numeric_limits<float>::quiet_NaN();
  const double difference = LargestDifference(workload_, weights, expected_);
  EXPECT_TRUE(std::isnan(difference));
  EXPECT_FALSE(difference <= kAgreement);
}

TEST_F(AgreementTest, WhatDoesNotTrainIsNamed) {
  std::vector<float> weights = expected_;
  const size_t last_bias = weights.size() - 10;
  for (size_t e = last_bias; e < weights.size(); ++e) weights[e] = initial_[e];
  const absl::Status status = CheckMoved(workload_, weights);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("4.bias of model 2"), std::string::npos)
      << status;
  weights[last_bias] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(CheckMoved(workload_, weights).ok());
}

}  // namespace
}  // namespace modelbatch::benchmarks
