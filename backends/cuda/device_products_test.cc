// Products in every precision, on a device. Skipped where there is none.
#include <gtest/gtest.h>

#include <tuple>

#include "backends/cuda/device.h"
#include "backends/cuda/runtime_gpu.h"
#include "backends/cuda/testing/tensor_products.h"

namespace modelbatch::cuda {
namespace {

class Products
    : public ::testing::TestWithParam<std::tuple<Precision, Product>> {
 protected:
  template <typename Test>
  void Run(Test test) {
    const DeviceReport report = ProbeDevices();
    if (report.devices.empty()) GTEST_SKIP() << report.reason;
    const int ordinal = report.devices.front().ordinal;
    const auto [precision, product] = GetParam();
    test({[ordinal] { return OpenGpu(ordinal); }, nullptr}, precision, product);
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
