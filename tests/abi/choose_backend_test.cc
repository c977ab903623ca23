// "auto" takes the plugin with the highest score that can do what is asked, and
// says why not the others.
#include "modelbatch/plugin/choose_backend.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string PluginFile(const std::string& name) {
  return std::string(std::getenv("TEST_SRCDIR")) +
         "/modelbatch/tests/abi/libmodelbatch_" + name + ".so";
}

// As if a plugin had said so; its file is that of `minimal`.
PluginReport Report(const std::string& name, int score) {
  PluginReport report;
  report.name = name;
  report.path = PluginFile("minimal");
  report.probe = {score, "", "because"};
  return report;
}

std::string Reason(std::vector<PluginReport> reports) {
  const auto choice = ChooseBackend(std::move(reports), {});
  EXPECT_TRUE(choice.ok()) << choice.status();
  return choice.ok() ? choice->reason : "";
}

TEST(ChooseBackend, TheHighestScoreWinsInEveryOrder) {
  const PluginReport a = Report("a", 5), b = Report("b", 10),
                     c = Report("c", 0);
  const std::string expected = "b (score 10: because; a: 5; c: 0, because)";
  EXPECT_EQ(Reason({a, b, c}), expected);
  EXPECT_EQ(Reason({c, b, a}), expected);
  EXPECT_EQ(Reason({b, c, a}), expected);
  EXPECT_EQ(Reason({a}), "a (score 5: because)");
}

TEST(ChooseBackend, EqualScoresAreTiedByName) {
  EXPECT_EQ(Reason({Report("b", 5), Report("c", 5), Report("a", 5)}),
            "a (score 5: because; b: 5; c: 5)");
}

TEST(ChooseBackend, WhatDoesNotLoadOrFitIsPassedOver) {
  PluginReport broken = Report("broken", 0);
  broken.status = absl::AbortedError("it crashed");
  PluginReport gone = Report("gone", 50);
  gone.path = "/no/such.so";
  const auto choice = ChooseBackend(
      {Report("a", 5), broken, gone, Report("small", 20)}, {},
      [](const PluginReport& report) {
        return report.name == "small" ? absl::InvalidArgumentError("lacks relu")
                                      : absl::OkStatus();
      });
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->reason,
            "a (score 5: because; gone: 50, plugin '/no/such.so': No such file "
            "or directory; small: 20, lacks relu; broken: it crashed)");
  EXPECT_NE(choice->backend, nullptr);
  EXPECT_EQ(choice->plugin->name(), "minimal");
}

TEST(ChooseBackend, NoneIsAnErrorThatListsAll) {
  PluginReport broken = Report("broken", 0);
  broken.status = absl::AbortedError("it crashed");
  const auto choice = ChooseBackend({Report("a", 0), broken, Report("b", 7)},
                                    {{"nosuch", int64_t{1}}});
  EXPECT_EQ(choice.status().code(), absl::StatusCode::kFailedPrecondition);
  // `minimal` refuses any option with its name.
  EXPECT_EQ(choice.status().message(),
            "\"auto\": none of the 3 backends that were found can be used:\n"
            "  b: 7, nosuch\n"
            "  a: 0, because\n"
            "  broken: it crashed");
}

// By name, as a program asks, with plugins that are really there.
class AutoTest : public testing::Test {
 protected:
  void Link(const std::vector<std::string>& names) {
    const fs::path folder =
        fs::path(TestFolder()) /
        testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder);
    fs::create_directories(folder);
    for (const std::string& name : names) {
      fs::create_symlink(PluginFile(name),
                         folder / ("libmodelbatch_" + name + ".so"));
    }
    setenv("MODELBATCH_PLUGIN_PATH", folder.c_str(), 1);
  }
};

TEST_F(AutoTest, PassesOverAHighScoreThatDoesNotHold) {
  Link({"minimal", "scores_zero", "scores_high_then_refuses", "wrong_major"});
  const auto plugin = OpenPlugin("auto");
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->name(), "minimal");
  EXPECT_TRUE(CreateBackend("auto").ok());
}

TEST_F(AutoTest, TakesTheHighestScore) {
  Link({"minimal", "scores_high"});
  const auto plugin = OpenPlugin("auto");
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->name(), "scores_high");
}

TEST_F(AutoTest, NoneUsable) {
  Link({"scores_zero", "scores_high_then_refuses", "wrong_major"});
  const absl::Status status = OpenPlugin("auto").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* reason :
       {"scores_high_then_refuses: the device is busy",
        "scores_zero: 0, there is no such device", "wrong_major: plugin '"}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }
  EXPECT_EQ(CreateBackend("auto").status(), status);
}

TEST_F(AutoTest, NoneFound) {
  Link({});
  const absl::Status status = CreateBackend("auto").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("MODELBATCH_PLUGIN_PATH"));
}

}  // namespace
}  // namespace modelbatch
