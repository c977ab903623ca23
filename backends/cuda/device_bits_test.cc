// The promise of cpu_bits_test.cc on a device. Skipped where there is none.
#include <gtest/gtest.h>

#include <memory>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/runtime_gpu.h"
#include "backends/cuda/schedule/epilogue_updates.h"
#include "backends/grouped/testing/bits_comparison.h"

namespace modelbatch::cuda {
namespace {

class DeviceBits : public ::testing::Test {
 protected:
  void SetUp() override {
    const DeviceReport report = ProbeDevices();
    if (report.devices.empty()) GTEST_SKIP() << report.reason;
    ordinal_ = report.devices.front().ordinal;
  }

  // Each population twice: what depends on chance would differ from the cpu
  // once.
  void Compare(uint64_t populations, int calls) {
    uint64_t compiled = 0, stepped = 0;
    for (uint64_t run = 0; run < 2 * populations; ++run) {
      const EpilogueUpdates updates[] = {
          EpilogueUpdates::kWhereTheyPay, EpilogueUpdates::kAlways,
          EpilogueUpdates::kWhereTheyPay, EpilogueUpdates::kSome};
      const bool in_epilogues = run / 2 % 2 == 1;
      grouped::testing::BitsComparison comparison(
          run / 2,
          std::make_unique<CudaBackend>([this] { return OpenGpu(ordinal_); },
                                        updates[run / 2 % 4]));
      if (in_epilogues) comparison.PreferEpilogueUpdates();
      if (!comparison.Compile()) continue;
      ++compiled;
      for (int call = 0; call < calls && !HasFailure(); ++call) {
        comparison.CallAnything();
        comparison.Compare();
      }
      stepped += comparison.stepped();
      if (HasFailure()) {
        FAIL() << "population " << run / 2 << ": " << comparison.ToString();
      }
    }
    // The test tested something.
    EXPECT_GT(compiled, populations);
    EXPECT_GT(stepped, populations);
  }

 private:
  int ordinal_ = 0;
};

// As few as a sanitizer has time for.
TEST_F(DeviceBits, OfFewPopulations) { Compare(8, 5); }

TEST_F(DeviceBits, OfManyPopulations) { Compare(300, 12); }

}  // namespace
}  // namespace modelbatch::cuda
