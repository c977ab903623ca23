#include "backends/cuda/cuda_backend.h"

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

TEST(ProbeCuda, ScoresZeroWithTheReason) {
  EXPECT_EQ(ProbeCuda(None()).score, 0);
  EXPECT_EQ(ProbeCuda(None()).reason, "no device: no driver");
  EXPECT_EQ(ProbeCuda(One()).score, 0);
  EXPECT_THAT(ProbeCuda(One()).device, HasSubstr("NVIDIA H200"));
  EXPECT_THAT(ProbeCuda(One()).reason, HasSubstr("not implemented"));
}

TEST(ProbeCuda, AnswersOnThisMachine) {
  EXPECT_FALSE(ProbeCuda().reason.empty());
}

TEST(CreateCuda, IsUnavailableWithoutADevice) {
  const absl::Status status = CreateCuda({}, None()).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no device: no driver"));
}

TEST(CreateCuda, SaysThatTrainingIsNotImplementedWithADevice) {
  const absl::Status status = CreateCuda({}, One()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("NVIDIA H200"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("not implemented"));
}

TEST(CreateCuda, RefusesAnUnknownOption) {
  const absl::Status status =
      CreateCuda({{"streams", int64_t{2}}}, One()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("streams"));
}

}  // namespace
}  // namespace modelbatch::cuda
