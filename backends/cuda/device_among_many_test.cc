// A model among 1,024 others of mixed shapes, on a device. Skipped where there
// is none.
#include <gtest/gtest.h>

#include "backends/cuda/device.h"
#include "backends/cuda/runtime_gpu.h"
#include "backends/cuda/testing/among_many.h"

namespace modelbatch::cuda {
namespace {

class AmongMany : public ::testing::TestWithParam<Precision> {
 protected:
  void Run(int models) {
    const DeviceReport report = ProbeDevices();
    if (report.devices.empty()) GTEST_SKIP() << report.reason;
    const int ordinal = report.devices.front().ordinal;
    testing::AmongMany options;
    options.open = [ordinal] { return OpenGpu(ordinal); };
    options.precision = GetParam();
    options.models = models;
    testing::TestAmongMany(options);
  }
};

// As few as a sanitizer has time for.
TEST_P(AmongMany, OfFewAModelHasTheBitsThatItHasAlone) { Run(6); }

TEST_P(AmongMany, OfManyAModelHasTheBitsThatItHasAlone) { Run(1024); }

INSTANTIATE_TEST_SUITE_P(Precisions, AmongMany,
                         ::testing::Values(Precision::kFp32, Precision::kTf32,
                                           Precision::kBf16));

}  // namespace
}  // namespace modelbatch::cuda
