// The feature "tuning": session_tune does what it says, and not one bit more.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/gradients_fixture.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

using Tuning = Gradients;

constexpr int64_t kTimeMs = 100;

TEST_F(Tuning, IsRefusedByPluginsThatDoNotClaimIt) {
  if (HasFeature("tuning")) GTEST_SKIP() << "the plugin claims tuning";
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  const absl::Status status = population.session().Tune({}).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.message().find(PluginUnderTest().name()), std::string::npos)
      << status;
  ExpectUnchanged(population, before, "a refused call");
}

TEST_F(Tuning, SaysWhatItChose) {
  MB_REQUIRES(HasFeature("tuning"));
  Population population = Make();
  const TuneReport report =
      Get(population.session().Tune({{"time_ms", kTimeMs}}));
  EXPECT_GE(report.seconds, 0);
  ASSERT_FALSE(report.choices.empty());
  const std::string plan = Get(population.session().Stats()).plan;
  for (const TuneChoice& choice : report.choices) {
    EXPECT_FALSE(choice.operation.empty());
    EXPECT_GE(choice.uses, 1);
    EXPECT_NE(plan.find(choice.operation), std::string::npos)
        << choice.operation << " is not in the plan:\n"
        << plan;
  }
}

// Whether or not it promises equal bits alone and among others.
TEST_F(Tuning, ChangesNoState) {
  MB_REQUIRES(HasFeature("tuning"));
  Population population = Make();
  const std::vector<Snapshot> before = population.SaveAll();
  Get(population.session().Tune({{"time_ms", kTimeMs}}));
  ExpectUnchanged(population, before, "tuning");
}

TEST_F(Tuning, ChangesNoStep) {
  MB_REQUIRES(HasFeature("tuning"));
  Population tuned = Make(), plain = Make();
  const std::vector<Column> columns = tuned.Columns({{"lr", 0.01}});
  for (int step = 0; step < 4; ++step) {
    if (step == 1) Get(tuned.session().Tune({{"time_ms", kTimeMs}}));
    if (step == 3) Get(tuned.session().Tune({{"time_ms", int64_t{0}}}));
    tuned.Step(*data_, rows_, columns);
    plain.Step(*data_, rows_, columns);
  }
  for (size_t m = 0; m < tuned.size(); ++m) {
    ExpectSameState(tuned.Save(m), plain.Save(m), exact_,
                    "model " + std::to_string(m));
  }
}

TEST_F(Tuning, RefusesUnknownOptionsAndNegativeTimes) {
  MB_REQUIRES(HasFeature("tuning"));
  Population population = Make();
  for (const Attributes& options :
       {Attributes{{"faster", true}}, Attributes{{"time_ms", int64_t{-1}}},
        Attributes{{"time_ms", std::string("long")}}}) {
    const absl::Status status = population.session().Tune(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find(options.begin()->first), std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace modelbatch::conformance
