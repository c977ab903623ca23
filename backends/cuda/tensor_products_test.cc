// Products in every precision, on the emulator.
#include "backends/cuda/testing/tensor_products.h"

#include <gtest/gtest.h>

#include <memory>
#include <tuple>

#include "backends/cuda/emulator/emulated_gpu.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using emulator::Order;

class Products
    : public ::testing::TestWithParam<std::tuple<Precision, Product>> {
 protected:
  template <typename Test>
  void Run(Test test) {
    // In another order every time.
    uint64_t opened = 0;
    const auto open = [&opened]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
      emulator::RunOptions options;
      options.order = opened % 2 == 0 ? Order::kRandom : Order::kDescending;
      options.seed = opened++;
      return std::make_unique<EmulatedGpu>(options);
    };
    const auto check = [](Gpu& gpu) {
      const auto& emulated = static_cast<const EmulatedGpu&>(gpu);
      EXPECT_TRUE(emulated.CheckGuards().ok()) << emulated.CheckGuards();
    };
    const auto [precision, product] = GetParam();
    test({open, check}, precision, product);
  }
};

TEST_P(Products, OfIntegersAreExact) { Run(testing::TestIntegers); }
TEST_P(Products, AreWithinTheirErrorBounds) { Run(testing::TestErrorBounds); }
TEST_P(Products, OfAModelAmongOthersHaveItsBits) {
  Run(testing::TestAmongOthers);
}
TEST_P(Products, DoNotDependOnTheTile) { Run(testing::TestTiles); }

INSTANTIATE_TEST_SUITE_P(
    All, Products,
    ::testing::Combine(
        ::testing::Values(Precision::kFp32, Precision::kTf32, Precision::kBf16),
        ::testing::Values(Product::kForward, Product::kInputGradient,
                          Product::kWeightGradient)));

}  // namespace
}  // namespace modelbatch::cuda
