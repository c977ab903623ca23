#include "modelbatch/io/file_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string Path() { return TestFolder() + "/lock"; }

TEST(FileLockTest, HasOneHolder) {
  auto first = FileLock::Acquire(Path());
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = FileLock::Acquire(Path()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()),
              HasSubstr(Path() + " is held by process " +
                        std::to_string(getpid()) + " on "));
  first->reset();
  EXPECT_TRUE(FileLock::Acquire(Path()).ok());
}

// A file that a dead process has left keeps nobody out.
TEST(FileLockTest, EndsWithItsProcess) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = FileLock::Acquire(Path());
    const char answer = lock.ok() ? 'y' : 'n';
    if (write(ready[1], &answer, 1) != 1) _exit(1);
    while (true) pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  const absl::Status held = FileLock::Acquire(Path()).status();
  EXPECT_THAT(std::string(held.message()),
              HasSubstr("process " + std::to_string(child)));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(Path()));
  EXPECT_TRUE(FileLock::Acquire(Path()).ok());
  close(ready[0]);
  close(ready[1]);
}

// Holders that remove the file, as a run that is discarded does: who has opened
// it before, and locked it after, holds nothing.
TEST(FileLockTest, HasOneHolderWhereTheFileIsRemoved) {
  const std::string inside = TestFolder() + "/inside";
  std::vector<pid_t> children;
  for (int c = 0; c < 3; ++c) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    children.push_back(child);
    if (child != 0) continue;
    for (int held = 0; held < 1500;) {
      const auto lock = FileLock::Acquire(Path());
      if (!lock.ok()) continue;
      ++held;
      const int fd = open(inside.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0666);
      if (fd < 0) _exit(1);  // another one is inside
      close(fd);
      std::filesystem::remove(inside);
      std::filesystem::remove(Path());
    }
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

TEST(FileLockTest, NamesAFileThatCannotBeMade) {
  const absl::Status status = FileLock::Acquire("/nowhere/lock").status();
  EXPECT_EQ(status.message(),
            "cannot open /nowhere/lock: No such file or directory");
}

}  // namespace
}  // namespace modelbatch
