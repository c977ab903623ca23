#include "modelbatch/io/atomic_files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/util/test_folder.h"

namespace {

// What was asked of the system, in order; and what it is to refuse.
struct Calls {
  std::vector<std::string> made;
  int syncfs_error = 0;
  int fsync_error = 0;  // of files
} calls;

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int Refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

// In place of the C library's.
extern "C" int syncfs(int fd) noexcept {
  calls.made.push_back("syncfs");
  if (calls.syncfs_error != 0) return Refuse(calls.syncfs_error);
  return Next<int(int)>("syncfs")(fd);
}
extern "C" int fsync(int fd) {
  const bool folder = (fcntl(fd, F_GETFL) & O_DIRECTORY) != 0;
  calls.made.push_back(folder ? "fsync folder" : "fsync");
  if (!folder && calls.fsync_error != 0) return Refuse(calls.fsync_error);
  return Next<int(int)>("fsync")(fd);
}
extern "C" int rename(const char* from, const char* to) noexcept {
  calls.made.push_back("rename");
  return Next<int(const char*, const char*)>("rename")(from, to);
}

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kFiles = 50;

class AtomicFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(TestFolder()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    calls = {};
  }
  int CountFiles() const {
    return static_cast<int>(std::distance(fs::directory_iterator(folder_), {}));
  }
  std::string Path(int i) const { return folder_ / absl::StrCat("model_", i); }

  absl::Status Add(int i, const std::string& content, AtomicFiles* files) {
    auto file = AtomicFile::Create(Path(i));
    if (!file.ok()) return file.status();
    const absl::Status status = file->Append(content.data(), content.size());
    return status.ok() ? Commit(*std::move(file), files) : status;
  }
  absl::Status Write(int count, const std::string& content) {
    auto files = AtomicFiles::Create(folder_);
    if (!files.ok()) return files.status();
    for (int i = 0; i < count; ++i) {
      const absl::Status status = Add(i, content, &*files);
      if (!status.ok()) return status;
    }
    return files->Commit();
  }
  // All files have it, and nothing else is there.
  void Expect(int count, const std::string& content) const {
    EXPECT_EQ(CountFiles(), count);
    for (int i = 0; i < count; ++i) EXPECT_EQ(*ReadFile(Path(i)), content) << i;
  }

  fs::path folder_;
};

std::vector<std::string> InOrder(const std::string& before) {
  std::vector<std::string> all = {before};
  all.insert(all.end(), kFiles, "rename");
  all.push_back("fsync folder");
  return all;
}

// One sync for all before the first has its name, and one for the names.
TEST_F(AtomicFilesTest, AreMadeDurableTogether) {
  ASSERT_TRUE(Write(kFiles, "one").ok());
  EXPECT_EQ(calls.made, InOrder("syncfs"));
  Expect(kFiles, "one");
  ASSERT_TRUE(Write(kFiles, std::string(70000, 'x')).ok());
  Expect(kFiles, std::string(70000, 'x'));
}

TEST_F(AtomicFilesTest, WithoutSyncfsEachIsSynced) {
  calls.syncfs_error = ENOSYS;
  ASSERT_TRUE(Write(kFiles, "one").ok());
  Expect(kFiles, "one");
  std::vector<std::string> wanted = InOrder("syncfs");
  wanted.insert(wanted.begin() + 1, kFiles, "fsync");
  EXPECT_EQ(calls.made, wanted);
}

// Few files do not wait for what others write.
TEST_F(AtomicFilesTest, FewAreSyncedOneByOne) {
  ASSERT_TRUE(Write(2, "one").ok());
  EXPECT_EQ(calls.made, (std::vector<std::string>{"fsync", "fsync", "rename",
                                                  "rename", "fsync folder"}));
  Expect(2, "one");
}

// A disk that fails costs neither the old files nor the names.
TEST_F(AtomicFilesTest, AFailedSyncChangesNothing) {
  ASSERT_TRUE(Write(kFiles, "old").ok());
  calls.syncfs_error = EIO;
  calls.fsync_error = EIO;
  const absl::Status status = Write(kFiles, "new");
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr(absl::StrCat("cannot sync ", folder_.string(), "/model_")));
  Expect(kFiles, "old");
}

TEST_F(AtomicFilesTest, NothingChangesWithoutCommit) {
  ASSERT_TRUE(Write(3, "old").ok());
  {
    auto files = AtomicFiles::Create(folder_);
    ASSERT_TRUE(files.ok());
    for (int i = 0; i < kFiles; ++i) ASSERT_TRUE(Add(i, "new", &*files).ok());
    EXPECT_EQ(*ReadFile(Path(0)), "old");
    EXPECT_FALSE(fs::exists(Path(kFiles - 1)));
  }
  Expect(3, "old");
}

// Where one name cannot be had, none that is new stays, and no temporary file.
TEST_F(AtomicFilesTest, AFailedRenameLeavesNoNewFiles) {
  for (const int taken : {0, kFiles / 2, kFiles - 1}) {
    fs::create_directories(Path(taken) + "/in/the/way");
    const absl::Status status = Write(kFiles, "new");
    EXPECT_THAT(std::string(status.message()), HasSubstr(Path(taken)));
    EXPECT_EQ(CountFiles(), 1) << taken;
    fs::remove_all(Path(taken));
  }
}

TEST_F(AtomicFilesTest, AFileOfAnotherFolderIsRefused) {
  auto files = AtomicFiles::Create(folder_);
  ASSERT_TRUE(files.ok());
  const std::string other = TestFolder() + "/elsewhere";
  auto file = AtomicFile::Create(other);
  ASSERT_TRUE(file.ok());
  const absl::Status status = files->Add(*std::move(file));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(other));
  EXPECT_FALSE(fs::exists(other));
  EXPECT_EQ(AtomicFiles::Create(folder_ / "none").status().code(),
            absl::StatusCode::kNotFound);
}

// More files than a process may have open.
TEST_F(AtomicFilesTest, AreNotKeptOpen) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit few = {20, 20};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) _exit(2);
    _exit(Write(100, "one").ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Expect(100, "one");
}

// Killed at any moment of a writing, each file is the old one or the new one.
TEST_F(AtomicFilesTest, AKilledProcessLeavesWholeFiles) {
  constexpr size_t kSize = 20000;
  ASSERT_TRUE(Write(kFiles, std::string(kSize, 'a')).ok());
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (char c = 'b';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
        if (!Write(kFiles, std::string(kSize, c)).ok()) _exit(1);
      }
    }
    if (round == 0) {
      while (*ReadFile(Path(0)) == std::string(kSize, 'a') &&
             waitpid(child, nullptr, WNOHANG) == 0) {
        usleep(1000);
      }
    }
    usleep(static_cast<useconds_t>(500 + 1701 * round));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed";
    for (int i = 0; i < kFiles; ++i) {
      const std::string content = *ReadFile(Path(i));
      ASSERT_EQ(content, std::string(kSize, content[0])) << round << " " << i;
    }
  }
}

}  // namespace
}  // namespace modelbatch
