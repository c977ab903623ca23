// The check that stands between a wrong contender and its figures.
#include "benchmarks/compare/agreement.h"

#include <algorithm>
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

  // Of the models one by one.
  std::vector<Difference> Compare(const std::vector<float>& weights) const {
    return Differences(workload_, weights, expected_);
  }

  const Workload workload_ = MakeWorkload(FindWorkload("mlp_ragged"), 3);
  std::vector<float> initial_, expected_;
};

TEST_F(AgreementTest, TheSameWeightsAgree) {
  const Difference none = Largest(Compare(expected_));
  EXPECT_EQ(none.median, 0);
  EXPECT_EQ(none.norm, 0);
  EXPECT_TRUE(CheckMoved(workload_, expected_).ok());
}

TEST_F(AgreementTest, ALearningRateWrongByHalfAPercentDoesNotAgree) {
  // Of the last bias alone, ten numbers.
  std::vector<float> weights = expected_;
  for (size_t e = weights.size() - 10; e < weights.size(); ++e) {
    weights[e] = initial_[e] + 1.005f * (expected_[e] - initial_[e]);
  }
  const Difference difference = Largest(Compare(weights));
  EXPECT_NEAR(difference.median, 0.005, 1e-4);
  EXPECT_NEAR(difference.norm, 0.005, 1e-4);
  for (const char* precision : {"fp32", "tf32", "bf16"}) {
    EXPECT_GT(difference.median, AllowedIn(precision).after_one);
  }
}

TEST_F(AgreementTest, AFewWrongElementsAreSeenInTheNorm) {
  // The first row of the first matrix, of 32 to 256 rows.
  std::vector<float> weights = expected_;
  std::copy_n(initial_.begin(), 64, weights.begin());
  const Difference difference = Largest(Compare(weights));
  const double rows =
      static_cast<double>(workload_.layouts[0].parameters[0].shape[0]);
  EXPECT_EQ(difference.median, 0);
  EXPECT_NEAR(difference.norm, std::sqrt(1 / rows), 1e-4);
}

TEST_F(AgreementTest, AUnitThatStaysDeadInBothIsNoDifference) {
  std::vector<float> expected = expected_;
  std::copy_n(initial_.begin(), 64, expected.begin());
  EXPECT_EQ(Largest(Differences(workload_, expected, expected)).median, 0);
}

TEST_F(AgreementTest, ANaNNeverAgreesAndIsNotForgotten) {
  std::vector<float> weights = expected_;
  weights[0] = std::numeric_limits<float>::quiet_NaN();
  const Difference difference = Largest(Compare(weights));
  EXPECT_TRUE(std::isnan(difference.norm));
  EXPECT_FALSE(difference.norm <= AllowedIn("bf16").after_run.norm);
}

TEST_F(AgreementTest, TheModelInTheMiddleIsThatOfTheLowerHalf) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Middle({{3, 1}, {1, 3}, {2, 2}}).median, 2);
  EXPECT_EQ(Middle({{3, 1}, {1, 3}, {2, 2}}).norm, 2);
  EXPECT_EQ(Middle({{4, 0}, {1, 0}}).median, 1);
  EXPECT_EQ(Middle({{nan, 0}, {1, 0}, {2, 0}}).median, 2);
  EXPECT_TRUE(std::isnan(Middle({{nan, 0}, {nan, 0}, {2, 0}}).median));
}

TEST_F(AgreementTest, DifferencesAreEachModelsOwn) {
  std::vector<float> weights = expected_;
  weights.back() = initial_.back();  // of the last model
  const std::vector<Difference> differences = Compare(weights);
  ASSERT_EQ(differences.size(), 3);
  EXPECT_EQ(differences[0].norm, 0);
  EXPECT_EQ(differences[1].norm, 0);
  EXPECT_NEAR(differences[2].norm, std::sqrt(0.1), 1e-4);
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

// Five units of the operands' rounding: to 11 bits, to 8 bits.
TEST(AllowedTest, GrowsWithTheRoundingOfOperands) {
  EXPECT_EQ(AllowedIn("fp32").after_run.median, 2e-4);
  EXPECT_EQ(AllowedIn("tf32").after_run.median, 5.0 / 2048);
  EXPECT_EQ(AllowedIn("bf16").after_run.median, 5.0 / 256);
}

}  // namespace
}  // namespace modelbatch::benchmarks
