// Products on tensor cores, on a device. Skipped where there is none.
#include <gtest/gtest.h>

#include <tuple>

#include "backends/cuda/device.h"
#include "backends/cuda/runtime_gpu.h"
#include "backends/cuda/testing/tensor_products.h"

namespace modelbatch::cuda {
namespace {

class TensorProducts
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

TEST_P(TensorProducts, OfIntegersAreExact) { Run(testing::TestIntegers); }
TEST_P(TensorProducts, AreWithinTheirErrorBounds) {
  Run(testing::TestErrorBounds);
}
TEST_P(TensorProducts, OfAModelAmongOthersHaveItsBits) {
  Run(testing::TestAmongOthers);
}
TEST_P(TensorProducts, DoNotDependOnTheTile) { Run(testing::TestTiles); }

INSTANTIATE_TEST_SUITE_P(
    All, TensorProducts,
    ::testing::Combine(::testing::Values(Precision::kTf32, Precision::kBf16),
                       ::testing::Values(Product::kForward,
                                         Product::kInputGradient,
                                         Product::kWeightGradient)));

}  // namespace
}  // namespace modelbatch::cuda
