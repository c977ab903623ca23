#include "modelbatch/optim/optimizer.h"

#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

const Column& Find(const Optimizer& optimizer, const std::string& name) {
  for (const Column& column : optimizer.columns()) {
    if (column.name == name) return column;
  }
  static const Column kNone;
  ADD_FAILURE() << "no column " << name;
  return kNone;
}

TEST(Optimizer, AModelsOwnValueWinsOverTheBaseOverTheDefault) {
  const std::vector<OptimizerConfig> configs = {
      {{"lr", 0.5}}, {{"lr", 0.25}, {"weight_decay", 0.125}}};
  const auto optimizer = Optimizer::Create(
      "adam", {{"weight_decay", 1.0}, {"eps", 1e-4}}, configs);
  ASSERT_TRUE(optimizer.ok()) << optimizer.status();
  EXPECT_EQ(Find(*optimizer, "lr").values, std::vector<double>({0.5, 0.25}));
  EXPECT_EQ(Find(*optimizer, "weight_decay").values,
            std::vector<double>({1.0, 0.125}));
  EXPECT_EQ(Find(*optimizer, "eps").values, std::vector<double>({1e-4, 1e-4}));
  // torch.optim.Adam's default.
  EXPECT_EQ(Find(*optimizer, "beta2").values,
            std::vector<double>({0.999, 0.999}));
}

TEST(Optimizer, RefusesBadValuesByModelAndName) {
  const auto expect = [](const std::string& kind, const OptimizerConfig& bad,
                         const std::string& message) {
    const std::vector<OptimizerConfig> configs = {{}, bad};
    const absl::Status status = Optimizer::Create(kind, {}, configs).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("model 1: " + message));
  };
  const double infinity = std::numeric_limits<double>::infinity();
  expect("adam", {{"lr", std::nan("")}}, "lr is nan, expected");
  expect("adam", {{"lr", -1}}, "lr is -1, expected a number finite");
  expect("adam", {{"lr", infinity}}, "lr is inf");
  expect("adam", {{"beta1", 1.0}}, "beta1 is 1, expected a number in [0, 1)");
  expect("adam", {{"momentum", 0.9}},
         "optimizer adam has no hyper-parameter \"momentum\"; it has: lr, ");
  expect("sgd", {{"nesterov", 1}}, "nesterov needs momentum above 0");
  expect("sgd", {{"nesterov", 0.5}, {"momentum", 0.9}}, "nesterov is 0.5");
  expect("adam", {{"amsgrad", 0.5}}, "amsgrad is 0.5, expected 0 or 1");
  expect("rmsprop", {{"centered", 2}}, "centered is 2, expected 0 or 1");
  expect("adadelta", {{"rho", 1.5}}, "rho is 1.5, expected a number in [0, 1]");
  expect("lion", {{"eps", 1e-8}}, "optimizer lion has no hyper-parameter");
  EXPECT_EQ(Optimizer::Create("adamm", {}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// A backend that is older than a column does without it.
TEST(Optimizer, OptionalColumnsAreThereFromWhenAModelHasAnotherValue) {
  const auto has = [](const Optimizer& optimizer, const std::string& name) {
    for (const Column& column : optimizer.columns()) {
      if (column.name == name) return true;
    }
    return false;
  };
  const std::vector<OptimizerConfig> configs = {{}, {{"amsgrad", 0}}, {}};
  auto optimizer = Optimizer::Create("adam", {{"maximize", 0}}, configs);
  ASSERT_TRUE(optimizer.ok()) << optimizer.status();
  const OptimizerState* const state =
      optimizer->info().FindState("max_exp_avg_sq");
  ASSERT_NE(state, nullptr);
  EXPECT_FALSE(has(*optimizer, "amsgrad"));
  EXPECT_FALSE(has(*optimizer, "maximize"));
  EXPECT_FALSE(optimizer->Needs(*state));
  EXPECT_TRUE(optimizer->Set(2, "amsgrad", 0).ok());
  EXPECT_FALSE(has(*optimizer, "amsgrad"));
  EXPECT_TRUE(optimizer->Set(2, "amsgrad", 1).ok());
  EXPECT_EQ(Find(*optimizer, "amsgrad").values, std::vector<double>({0, 0, 1}));
  EXPECT_TRUE(optimizer->Needs(*state));
  EXPECT_EQ(*optimizer->Get(1, "amsgrad"), 0);
  EXPECT_FALSE(optimizer->Set(2, "amsgrad", 0.5).ok());

  const std::vector<OptimizerConfig> some = {{}, {{"amsgrad", 1}}};
  optimizer = Optimizer::Create("adam", {}, some);
  ASSERT_TRUE(optimizer.ok());
  EXPECT_EQ(Find(*optimizer, "amsgrad").values, std::vector<double>({0, 1}));
}

TEST(Optimizer, SetChangesOneModelAndKeepsTheOldValueOnError) {
  const std::vector<OptimizerConfig> configs(3);
  auto optimizer = Optimizer::Create("sgd", {{"lr", 0.1}}, configs);
  ASSERT_TRUE(optimizer.ok());
  EXPECT_TRUE(optimizer->Set(1, "lr", 0.2).ok());
  EXPECT_EQ(Find(*optimizer, "lr").values,
            std::vector<double>({0.1, 0.2, 0.1}));
  EXPECT_FALSE(optimizer->Set(1, "lr", std::nan("")).ok());
  EXPECT_FALSE(optimizer->Set(1, "nesterov", 1).ok());
  EXPECT_FALSE(optimizer->Set(3, "lr", 0.1).ok());
  EXPECT_FALSE(optimizer->Set(0, "beta1", 0.1).ok());
  EXPECT_EQ(*optimizer->Get(1, "lr"), 0.2);
  EXPECT_EQ(*optimizer->Get(1, "nesterov"), 0);
}

}  // namespace
}  // namespace modelbatch
