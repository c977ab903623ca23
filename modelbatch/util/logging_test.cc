#include "modelbatch/util/logging.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(Logging, WithoutASinkMessagesAreDropped) {
  testing::internal::CaptureStderr();
  Log(LogSeverity::kError, "nobody listens");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Logging, TheSinkGetsMessagesOfAtLeastTheMinimum) {
  std::vector<std::pair<LogSeverity, std::string>> got;
  SetLogSink(LogSeverity::kWarning,
             [&got](LogSeverity severity, std::string_view message) {
               got.emplace_back(severity, message);
             });
  Log(LogSeverity::kInfo, "a");
  Log(LogSeverity::kWarning, "b");
  Log(LogSeverity::kError, "c");
  SetLogSink(LogSeverity::kInfo, nullptr);
  Log(LogSeverity::kError, "d");
  EXPECT_THAT(got, ElementsAre(Pair(LogSeverity::kWarning, "b"),
                               Pair(LogSeverity::kError, "c")));
}

TEST(Logging, ASinkMayReplaceItself) {
  int calls = 0;
  SetLogSink(LogSeverity::kInfo, [&calls](LogSeverity, std::string_view) {
    ++calls;
    SetLogSink(LogSeverity::kInfo, nullptr);
  });
  Log(LogSeverity::kInfo, "first");
  Log(LogSeverity::kInfo, "second");
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace modelbatch
