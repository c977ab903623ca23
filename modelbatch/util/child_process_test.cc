#include "modelbatch/util/child_process.h"

#include <signal.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

ChildOutcome Shell(const std::string& script, int64_t seconds = 60) {
  const auto child =
      RunProgram("sh", {"-c", script, "name", "an 'argument' $HOME"},
                 TestFolder(), seconds);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.value_or(ChildOutcome());
}

TEST(RunProgramTest, HasWhatItPrintsAndHowItEnded) {
  const ChildOutcome child = Shell("echo \"$1\"; pwd >&2; read x; exit 3");
  EXPECT_EQ(child.output, "an 'argument' $HOME\n" + TestFolder() + "\n");
  EXPECT_EQ(child.exit_code, 3);
  EXPECT_FALSE(child.ended_well());
  EXPECT_EQ(child.Describe(), "exit code 3");
  EXPECT_TRUE(Shell("true").ended_well());
  EXPECT_EQ(Shell("kill -9 $$").signal, SIGKILL);
}

// With all that it started.
TEST(RunProgramTest, IsStoppedWhenItsTimeIsUp) {
  const ChildOutcome child = Shell("sleep 1000 & sleep 1000", 1);
  EXPECT_TRUE(child.timed_out);
  EXPECT_FALSE(child.ended_well());
}

TEST(RunProgramTest, AProgramThatIsNotThereIsNotFound) {
  const absl::Status status =
      RunProgram("no-such-program", {}, TestFolder(), 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "there is no program no-such-program in PATH");
}

}  // namespace
}  // namespace modelbatch
