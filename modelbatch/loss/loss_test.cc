// What ReadLoss takes, and how it says what it does not take.
#include "modelbatch/loss/loss.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const LossSpec& spec) {
  const absl::Status status = ReadLoss(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(ReadLossTest, DefaultsAreThoseOfPyTorch) {
  for (const LossInfo& info : Losses()) {
    const auto loss = ReadLoss({info.kind, {}});
    ASSERT_TRUE(loss.ok()) << loss.status();
    EXPECT_EQ(loss->kind, info.code);
    EXPECT_EQ(loss->name(), info.kind);
    EXPECT_EQ(loss->label_smoothing, 0);
    EXPECT_EQ(loss->ignore_index, -100);
    EXPECT_TRUE(loss->weight.empty());
    EXPECT_TRUE(loss->pos_weight.empty());
    EXPECT_EQ(loss->delta, 1);
    EXPECT_EQ(loss->beta, 1);
    EXPECT_EQ(&InfoOf(info.code), &info);
    EXPECT_EQ(FindLoss(info.kind), &info);
  }
}

TEST(ReadLossTest, EveryAttributeIsRead) {
  const auto loss = ReadLoss({"cross_entropy",
                              {{"label_smoothing", 0.25},
                               {"ignore_index", int64_t{3}},
                               {"weight", std::vector<double>{0, 0.5, 1e30}}}});
  ASSERT_TRUE(loss.ok()) << loss.status();
  EXPECT_EQ(loss->label_smoothing, 0.25);
  EXPECT_EQ(loss->ignore_index, 3);
  EXPECT_EQ(loss->weight, (std::vector<double>{0, 0.5, 1e30}));
  EXPECT_TRUE(loss->has_classes());
  // Integers are numbers.
  const auto nll = ReadLoss({"nll", {{"weight", std::vector<int64_t>{1, 2}}}});
  ASSERT_TRUE(nll.ok()) << nll.status();
  EXPECT_EQ(nll->weight, (std::vector<double>{1, 2}));
  EXPECT_EQ(ReadLoss({"huber", {{"delta", int64_t{2}}}})->delta, 2);
  EXPECT_EQ(ReadLoss({"smooth_l1", {{"beta", 0.0}}})->beta, 0);
  const auto bce = ReadLoss(
      {"bce_with_logits", {{"pos_weight", std::vector<double>{3, 0}}}});
  ASSERT_TRUE(bce.ok()) << bce.status();
  EXPECT_EQ(bce->pos_weight, (std::vector<double>{3, 0}));
  EXPECT_FALSE(bce->has_classes());
}

TEST(ReadLossTest, RefusalsNameTheAttributeAndWhatWasExpected) {
  EXPECT_EQ(Refusal({"hinge", {}}),
            "there is no loss \"hinge\"; there are: cross_entropy, nll, "
            "bce_with_logits, mse, l1, huber, smooth_l1");
  EXPECT_EQ(Refusal({"mse", {{"delta", 1.0}}}),
            "loss mse: unknown attribute delta, expected no attributes");
  EXPECT_EQ(Refusal({"nll", {{"label_smoothing", 0.1}}}),
            "loss nll: unknown attribute label_smoothing, expected "
            "ignore_index, weight");
  EXPECT_EQ(Refusal({"huber", {{"delta", std::string("1")}}}),
            "loss huber: attribute delta has the wrong type, expected a "
            "number");
  EXPECT_THAT(Refusal({"nll", {{"weight", 1.0}}}),
              HasSubstr("expected a list of numbers"));
  EXPECT_THAT(Refusal({"nll", {{"ignore_index", 1.0}}}),
              HasSubstr("expected an integer"));
  for (const double bad : {-0.1, 1.1, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(Refusal({"cross_entropy", {{"label_smoothing", bad}}}),
                HasSubstr("expected a number from 0 to 1"));
  }
  for (const double bad : {0.0, -1.0, 1e-50, 1e39, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(Refusal({"huber", {{"delta", bad}}}), HasSubstr("delta is"));
  }
  for (const double bad : {-1.0, 1e-50, 1e39, std::nan(""), HUGE_VAL}) {
    EXPECT_THAT(Refusal({"smooth_l1", {{"beta", bad}}}), HasSubstr("beta is"));
    EXPECT_THAT(Refusal({"nll", {{"weight", std::vector<double>{1, 1e31}}}}),
                HasSubstr("weight[1] is 1e+31"));
  }
  EXPECT_EQ(Refusal({"bce_with_logits",
                     {{"pos_weight", std::vector<double>{1, -2}}}}),
            "loss bce_with_logits: attribute pos_weight[1] is -2, expected a "
            "number from 0 to 1e+30");
  EXPECT_THAT(Refusal({"nll", {{"weight", std::vector<double>{std::nan("")}}}}),
              HasSubstr("weight[0] is nan"));
}

TEST(CheckLossOutputsTest, ListsHaveOneNumberForEachOutput) {
  LossSettings loss;
  EXPECT_TRUE(CheckLossOutputs(loss, 7).ok());
  loss.weight = {1, 2};
  EXPECT_TRUE(CheckLossOutputs(loss, 2).ok());
  EXPECT_EQ(CheckLossOutputs(loss, 3).message(),
            "loss cross_entropy: weight has 2 numbers, expected one for each "
            "of 3 classes");
  LossSettings bce;
  bce.kind = LossKind::kBceWithLogits;
  bce.pos_weight = {1};
  EXPECT_EQ(CheckLossOutputs(bce, 4).message(),
            "loss bce_with_logits: pos_weight has 1 numbers, expected one for "
            "each of 4 outputs");
}

}  // namespace
}  // namespace modelbatch
