#include "modelbatch/optim/optimizer_configs.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

template <typename T>
void ExpectRefused(const absl::StatusOr<T>& result, const char* message) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument)
      << result.status();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr(message));
}

std::vector<double> Rates(const std::vector<OptimizerConfig>& configs) {
  std::vector<double> rates;
  for (const OptimizerConfig& config : configs) {
    EXPECT_EQ(config.size(), 1u);
    rates.push_back(config.at("lr"));
  }
  return rates;
}

// The defaults are those of the Python library's functions.
TEST(OptimizerConfigs, OneConfigALearningRate) {
  const auto sgd = CreateSgdConfigs({0.1, 0.2});
  ASSERT_TRUE(sgd.ok()) << sgd.status();
  EXPECT_EQ(*sgd, (std::vector<OptimizerConfig>{
                      {{"lr", 0.1}, {"momentum", 0.9}, {"weight_decay", 1e-4}},
                      {{"lr", 0.2}, {"momentum", 0.9}, {"weight_decay", 1e-4}},
                  }));
  const auto adam = CreateAdamConfigs({1e-3});
  ASSERT_TRUE(adam.ok()) << adam.status();
  EXPECT_EQ(*adam, (std::vector<OptimizerConfig>{{{"lr", 1e-3},
                                                  {"beta1", 0.9},
                                                  {"beta2", 0.999},
                                                  {"eps", 1e-8},
                                                  {"weight_decay", 0.0}}}));
  EXPECT_EQ(CreateAdamConfigs({1e-3}, 0.8, 0.9, 1e-6, 0.1)->at(0),
            (OptimizerConfig{{"lr", 1e-3},
                             {"beta1", 0.8},
                             {"beta2", 0.9},
                             {"eps", 1e-6},
                             {"weight_decay", 0.1}}));
  EXPECT_EQ(
      CreateSgdConfigs({0.5}, 0, 0)->at(0),
      (OptimizerConfig{{"lr", 0.5}, {"momentum", 0.0}, {"weight_decay", 0.0}}));
  EXPECT_TRUE(CreateSgdConfigs({})->empty());
}

TEST(OptimizerConfigs, BadValuesAreRefusedByModelAndName) {
  ExpectRefused(CreateSgdConfigs({0.1, std::nan("")}), "model 1: lr is nan");
  ExpectRefused(CreateSgdConfigs({0.1}, -1), "momentum is -1");
  ExpectRefused(CreateSgdConfigs({}, 0.9, -1), "weight_decay is -1");
  ExpectRefused(CreateAdamConfigs({-0.1}), "model 0: lr is -0.1");
  ExpectRefused(CreateAdamConfigs({0.1}, 1), "beta1 is 1");
  ExpectRefused(CreateAdamConfigs({0.1}, 0.9, 2), "beta2 is 2");
  ExpectRefused(CreateAdamConfigs({0.1}, 0.9, 0.9, -1), "eps is -1");
}

// numpy.geomspace(1e-4, 1e-1, 7) and numpy.linspace(0, 0.3, 5), 2.2.
TEST(OptimizerConfigs, SweepsAreNumpys) {
  const auto log = CreateLrSweepConfigs(1e-4, 1e-1, 7);
  ASSERT_TRUE(log.ok()) << log.status();
  const std::vector<double> expected = {
      1e-4, 3.1622776601683794e-4, 1e-3, 3.1622776601683794e-3,
      1e-2, 3.162277660168379e-2,  0.1};
  const std::vector<double> got = Rates(*log);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i] / expected[i], 1, 1e-13) << i;
  }
  EXPECT_EQ(got.front(), 1e-4);
  EXPECT_EQ(got.back(), 1e-1);

  const auto linear = CreateLrSweepConfigs(0, 0.3, 5, LrScale::kLinear);
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_THAT(
      Rates(*linear),
      testing::Pointwise(testing::DoubleEq(), {0.0, 0.075, 0.15, 0.225, 0.3}));
}

TEST(OptimizerConfigs, EndsOfSweeps) {
  EXPECT_EQ(Rates(*CreateLrSweepConfigs(0.1, 0.7, 1)),
            std::vector<double>({0.1}));
  EXPECT_EQ(Rates(*CreateLrSweepConfigs(0.1, 0.7, 2)),
            std::vector<double>({0.1, 0.7}));
  EXPECT_EQ(Rates(*CreateLrSweepConfigs(0.1, 0.1, 3, LrScale::kLinear)),
            std::vector<double>({0.1, 0.1, 0.1}));
  // The ratio is beyond double.
  const auto wide = CreateLrSweepConfigs(1e-300, 1e300, 3);
  ASSERT_TRUE(wide.ok());
  EXPECT_NEAR(wide->at(1).at("lr"), 1, 1e-12);
}

TEST(OptimizerConfigs, BadSweepsAreRefused) {
  const double infinity = std::numeric_limits<double>::infinity();
  ExpectRefused(CreateLrSweepConfigs(0.1, 0.2, 0), "num_models is 0");
  ExpectRefused(CreateLrSweepConfigs(0.2, 0.1, 3), "min_lr is 0.2 and max_lr");
  ExpectRefused(CreateLrSweepConfigs(-0.1, 0.1, 3, LrScale::kLinear),
                "min_lr is -0.1");
  ExpectRefused(CreateLrSweepConfigs(0, 0.1, 3), "the scale is logarithmic");
  ExpectRefused(CreateLrSweepConfigs(0.1, infinity, 3), "max_lr inf");
  ExpectRefused(CreateLrSweepConfigs(std::nan(""), 0.1, 3), "min_lr is nan");
  ExpectRefused(CreateLrSweepConfigs(0.1, std::nan(""), 3), "max_lr nan");
}

}  // namespace
}  // namespace modelbatch
