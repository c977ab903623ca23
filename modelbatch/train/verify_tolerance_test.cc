#include "modelbatch/train/verify_tolerance.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/train/test_experiment.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<Trainer> First(const Experiment& experiment, int64_t steps,
                               Backend* backend) {
  auto trainer = TrainFirstSteps(experiment, steps, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return trainer.ok() ? *std::move(trainer) : nullptr;
}

VerifyReport Verify(const Experiment& experiment, int64_t id, Trainer* batch,
                    Backend* backend) {
  const auto report = VerifyWithinTolerance(experiment, id, batch, backend);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.ok() ? *report : VerifyReport();
}

TEST(VerifyWithinToleranceTest, EveryModelOfAnIndependentBackendIsEqual) {
  const auto backend = CpuBackendForTest();
  for (const bool explode : {false, true}) {
    const Experiment experiment = TestExperiment(
        explode ? ExplodingOverrides() : std::vector<std::string>{});
    // None, some, and more than the whole run has.
    for (int64_t steps : {0, 7, 1000}) {
      const auto batch = First(experiment, steps, backend.get());
      for (int id = 0; id < 8; ++id) {
        const VerifyReport report =
            Verify(experiment, id, batch.get(), backend.get());
        EXPECT_TRUE(report.passed) << report.text;
        EXPECT_EQ(report.index, id);
        EXPECT_THAT(report.text, StartsWith("equal bit for bit after "));
      }
    }
  }
}

// What fails bit for bit (verify_test.cc) passes here: it is rounding.
TEST(VerifyWithinToleranceTest, AllowsRounding) {
  auto broken = CreateBackend("tests/independence/libmodelbatch_broken.so");
  ASSERT_TRUE(broken.ok()) << broken.status();
  const Experiment experiment = TestExperiment();
  const auto batch = First(experiment, kToleranceSteps, broken->get());
  int rounded = 0;
  for (int id = 0; id < 8; ++id) {
    const VerifyReport report =
        Verify(experiment, id, batch.get(), broken->get());
    EXPECT_TRUE(report.passed) << report.text;
    rounded += report.text.rfind("within tolerance after 15 steps: ", 0) == 0;
  }
  EXPECT_GT(rounded, 4);
}

// A learning rate that is off by a thousandth, for the model alone.
TEST(VerifyWithinToleranceTest, NoticesAThousandthOfALearningRate) {
  const auto backend = CpuBackendForTest();
  for (const std::string kind : {"sgd", "adam", "adamw"}) {
    const auto with = [&](const std::string& rates) {
      return TestExperiment(
          {"optimizer={kind=\"" + kind + "\", lr={values=" + rates + "}}"});
    };
    const Experiment experiment = with("[0.01, 0.03]");
    const Experiment off = with("[0.01001, 0.03003]");
    const auto batch = First(experiment, kToleranceSteps, backend.get());
    for (int id = 0; id < 8; ++id) {
      const VerifyReport report = Verify(off, id, batch.get(), backend.get());
      EXPECT_FALSE(report.passed) << kind << ": " << report.text;
      EXPECT_THAT(report.text, StartsWith("differs after 15 steps: "));
    }
  }
}

// A tensor times 1 + e differs from itself by e of its norm.
TEST(VerifyWithinToleranceTest, MeasuresEachTensorByItsNorm) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto verify_scaled = [&](const char* slot, double factor) {
    const auto batch = First(experiment, 10, backend.get());
    Session& session = batch->batch().session();
    auto value = session.ReadState(3, slot, "0.weight");
    EXPECT_TRUE(value.ok()) << value.status();
    auto* data = static_cast<float*>(value->raw());
    for (int64_t i = 0; i < value->size(); ++i) {
      data[i] = static_cast<float>(data[i] * factor);
    }
    EXPECT_TRUE(session.WriteState(3, slot, "0.weight", *value).ok());
    EXPECT_TRUE(Verify(experiment, 2, batch.get(), backend.get()).passed);
    return Verify(experiment, 3, batch.get(), backend.get());
  };
  EXPECT_TRUE(verify_scaled("param", 1 + 4e-6).passed);
  const VerifyReport param = verify_scaled("param", 1 + 3e-5);
  EXPECT_FALSE(param.passed);
  EXPECT_EQ(param.text,
            "differs after 10 steps: param 0.weight differs most, by 3e-05 of "
            "its norm, allowed 1e-05");
  EXPECT_TRUE(verify_scaled("exp_avg", 1 + 3e-5).passed);
  const VerifyReport moment = verify_scaled("exp_avg_sq", 1 + 3e-4);
  EXPECT_FALSE(moment.passed);
  EXPECT_THAT(moment.text, HasSubstr("exp_avg_sq 0.weight differs most, by "
                                     "0.0003 of its norm, allowed 0.0001"));
  EXPECT_FALSE(verify_scaled("param", 0).passed);
  EXPECT_FALSE(
      verify_scaled("param", std::numeric_limits<double>::quiet_NaN()).passed);
  EXPECT_FALSE(
      verify_scaled("exp_avg", std::numeric_limits<double>::infinity()).passed);
}

TEST(VerifyWithinToleranceTest, FreezingMustBeEqual) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"optimizer={kind=\"sgd\", lr={values=[0.05, 0.06]}}"});
  const Experiment explodes = TestExperiment(ExplodingOverrides());
  const auto batch = First(explodes, 10, backend.get());
  const VerifyReport report = Verify(experiment, 5, batch.get(), backend.get());
  EXPECT_FALSE(report.passed);
  EXPECT_THAT(report.text, HasSubstr("frozen in step "));
  EXPECT_THAT(report.text, HasSubstr(" in the batch, not frozen alone"));
}

TEST(VerifyWithinToleranceTest, UnknownModel) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto batch = First(experiment, 1, backend.get());
  const absl::Status status =
      VerifyWithinTolerance(experiment, 8, batch.get(), backend.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "the run has no model 8, expected 0 to 7");
}

}  // namespace
}  // namespace modelbatch
