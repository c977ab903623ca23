#include "backends/cuda/device.h"

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace modelbatch::cuda {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

int RuntimeCount() {
  int count = 0;
  const bool ok = cudaGetDeviceCount(&count) == cudaSuccess;
  cudaGetLastError();
  return ok ? count : 0;
}

// The promise that a machine without a GPU depends on: an answer, no crash.
TEST(ProbeDevices, SaysWhyThereIsNone) {
  if (RuntimeCount() > 0) GTEST_SKIP() << "this machine has a device";
  const DeviceReport report = ProbeDevices();
  EXPECT_TRUE(report.devices.empty());
  EXPECT_THAT(report.reason, StartsWith("no device: "));
}

TEST(ProbeDevices, ListsWhatTheRuntimeCounts) {
  const int count = RuntimeCount();
  if (count == 0) GTEST_SKIP() << "this machine has no device";
  const DeviceReport report = ProbeDevices();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  ASSERT_FALSE(report.devices.empty()) << report.reason;
  EXPECT_LE(report.devices.size(), static_cast<size_t>(count));
  for (const Device& device : report.devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GE(device.major, 8);  // the oldest that the kernels are compiled for
    EXPECT_GT(device.multiprocessors, 0);
    EXPECT_GT(device.memory_bytes, 0);
  }
}

TEST(ProbeDevices, GivesTheSameAnswerTwice) {
  const DeviceReport first = ProbeDevices();
  const DeviceReport second = ProbeDevices();
  EXPECT_EQ(first.reason, second.reason);
  EXPECT_EQ(first.devices.size(), second.devices.size());
}

TEST(Describe, NamesTheArchitecture) {
  const Device device = {0, "NVIDIA H200", 9, 0, 132, int64_t{139} << 30};
  EXPECT_THAT(Describe(device),
              HasSubstr("NVIDIA H200, sm_90, 132 multiprocessors, 139 GiB"));
}

}  // namespace
}  // namespace modelbatch::cuda
