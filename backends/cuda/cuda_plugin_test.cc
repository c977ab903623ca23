#include "backends/cuda/cuda_plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace modelbatch::cuda {
namespace {

using ::testing::HasSubstr;

const DeviceReport& None() {
  static const auto& report = *new DeviceReport{{}, "no device: no driver"};
  return report;
}

const DeviceReport& One() {
  static const auto& report = *new DeviceReport{
      {{0, "NVIDIA H200", 9, 0, 132, int64_t{139} << 30}}, ""};
  return report;
}

TEST(ProbeCuda, ScoresZeroWithTheReasonWithoutADevice) {
  EXPECT_EQ(ProbeCuda(None()).score, 0);
  EXPECT_EQ(ProbeCuda(None()).reason, "no device: no driver");
}

// 10 is the cpu backend's score: what never ran on a device is not chosen by
// "auto".
TEST(ProbeCuda, ScoresBelowTheCpuWithADevice) {
  EXPECT_GT(ProbeCuda(One()).score, 0);
  EXPECT_LT(ProbeCuda(One()).score, 10);
  EXPECT_THAT(ProbeCuda(One()).device, HasSubstr("NVIDIA H200"));
  EXPECT_THAT(ProbeCuda(One()).reason, HasSubstr("never on a device"));
}

TEST(ProbeCuda, AnswersOnThisMachine) {
  EXPECT_FALSE(ProbeCuda().reason.empty());
}

TEST(CreateCuda, IsUnavailableWithoutADevice) {
  const absl::Status status = CreateCuda({}, None()).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no device: no driver"));
}

// A device that was listed and is gone, as any is on a machine without one: an
// error when it is first used, no crash.
TEST(CreateCuda, ADeviceThatIsNotThereIsAnError) {
  DeviceReport report = One();
  report.devices[0].ordinal = 1000;
  const auto backend = CreateCuda({}, report);
  ASSERT_TRUE(backend.ok()) << backend.status();
  const auto dataset = (*backend)->CreateDataset(
      Tensor::Zeros(DType::kFloat32, {2, 3}), Tensor());
  EXPECT_TRUE(absl::IsUnavailable(dataset.status())) << dataset.status();
}

TEST(CreateCuda, RefusesAnUnknownOption) {
  const absl::Status status =
      CreateCuda({{"streams", int64_t{2}}}, One()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("streams"));
}

}  // namespace
}  // namespace modelbatch::cuda
