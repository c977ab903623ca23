// A plugin tells who it is, what this machine offers it, and what it has.
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/probe.h"
#include "tests/conformance/plugin_under_test.h"

namespace modelbatch::conformance {
namespace {

class DescribeBackend : public ConformanceTest {};

TEST(Describe, NameVersionAndBuild) {
  const Plugin& plugin = PluginUnderTest();
  EXPECT_FALSE(plugin.name().empty());
  EXPECT_FALSE(plugin.version().empty());
  EXPECT_FALSE(plugin.build_id().empty());
  EXPECT_NE(plugin.path().find("libmodelbatch_" + plugin.name() + ".so"),
            std::string::npos)
      << plugin.path() << " would not be found as " << plugin.name();
}

TEST(Describe, ProbeGivesAReason) {
  const ProbeResult probe = Get(PluginUnderTest().Probe());
  EXPECT_GE(probe.score, 0);
  EXPECT_FALSE(probe.reason.empty());
  EXPECT_TRUE(probe.score == 0 || !probe.device.empty());
}

TEST(Describe, WhereItCannotRunItSaysWhy) {
  const ProbeResult probe = Get(PluginUnderTest().Probe());
  if (probe.score > 0) GTEST_SKIP() << "it can run here: " << probe.device;
  const auto backend = PluginUnderTest().CreateBackend();
  ASSERT_FALSE(backend.ok());
  EXPECT_TRUE(absl::IsUnavailable(backend.status()) ||
              absl::IsFailedPrecondition(backend.status()))
      << backend.status();
  EXPECT_FALSE(backend.status().message().empty());
}

TEST_F(DescribeBackend, CapabilitiesAreNamedOnce) {
  for (const auto* list :
       {&capabilities().operators, &capabilities().losses,
        &capabilities().optimizers, &capabilities().precisions,
        &capabilities().features}) {
    EXPECT_EQ(std::set<std::string>(list->begin(), list->end()).size(),
              list->size());
    EXPECT_FALSE(Contains(*list, ""));
  }
  EXPECT_FALSE(capabilities().precisions.empty());
}

TEST_F(DescribeBackend, AnUnknownOptionIsRefusedByName) {
  const auto backend =
      PluginUnderTest().CreateBackend({{"no_such_option", int64_t{1}}});
  ASSERT_FALSE(backend.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(backend.status()) ||
              absl::IsUnimplemented(backend.status()))
      << backend.status();
  EXPECT_NE(backend.status().message().find("no_such_option"),
            absl::string_view::npos)
      << backend.status();
}

TEST_F(DescribeBackend, TwoBackendsMayExistAtOnce) {
  EXPECT_TRUE(PluginUnderTest().CreateBackend().ok());
}

}  // namespace
}  // namespace modelbatch::conformance
