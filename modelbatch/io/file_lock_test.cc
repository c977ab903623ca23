#include "modelbatch/io/file_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

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

// Who waits for a file that is removed does not hold the one that follows.
TEST(FileLockTest, ARemovedFileIsNotTheLock) {
  auto first = FileLock::Acquire(Path());
  ASSERT_TRUE(first.ok()) << first.status();
  std::filesystem::remove(Path());
  const auto second = FileLock::Acquire(Path());
  ASSERT_TRUE(second.ok()) << second.status();
  first->reset();
  EXPECT_FALSE(FileLock::Acquire(Path()).ok());
}

TEST(FileLockTest, NamesAFileThatCannotBeMade) {
  const absl::Status status = FileLock::Acquire("/nowhere/lock").status();
  EXPECT_EQ(status.message(),
            "cannot open /nowhere/lock: No such file or directory");
}

}  // namespace
}  // namespace modelbatch
