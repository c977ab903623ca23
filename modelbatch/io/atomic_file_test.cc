#include "modelbatch/io/atomic_file.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(TestFolder()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  int CountFiles() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_)) {
      ++count;
    }
    return count;
  }
  std::string Path(const std::string& name) const { return folder_ / name; }
  fs::path folder_;
};

TEST_F(AtomicFileTest, WritesAndReplaces) {
  const std::string path = Path("a");
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  EXPECT_EQ(*ReadFile(path), "one");
  const std::string large(300000, 'x');
  ASSERT_TRUE(WriteFileAtomically(path, large).ok());
  EXPECT_EQ(*ReadFile(path), large);
  EXPECT_EQ(CountFiles(), 1);
}

// Until the commit a reader sees the old file; without one nothing stays.
TEST_F(AtomicFileTest, NothingChangesWithoutCommit) {
  const std::string path = Path("a");
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("new", 3).ok());
    EXPECT_EQ(*ReadFile(path), "old");
  }
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_EQ(CountFiles(), 1);
}

// Killed at any moment of a writing, the file is the old one or the new one.
TEST_F(AtomicFileTest, AKilledProcessLeavesAWholeFile) {
  const std::string path = Path("checkpoint");
  constexpr size_t kSize = 1 << 20;
  ASSERT_TRUE(WriteFileAtomically(path, std::string(kSize, 'a')).ok());
  int written = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // In pieces, as a checkpoint is written.
      for (char c = 'b';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
        auto file = AtomicFile::Create(path);
        if (!file.ok()) _exit(1);
        const std::string piece(4096, c);
        for (size_t done = 0; done < kSize; done += piece.size()) {
          if (!file->Append(piece.data(), piece.size()).ok()) _exit(1);
        }
        if (!file->Commit().ok()) _exit(1);
      }
    }
    usleep(static_cast<useconds_t>(500 + 701 * round));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed";
    const std::string content = *ReadFile(path);
    ASSERT_EQ(content.size(), kSize);
    ASSERT_EQ(content, std::string(kSize, content[0])) << "round " << round;
    if (content[0] != 'a') ++written;
  }
  EXPECT_GT(written, 0) << "no writer came to its end";
}

TEST_F(AtomicFileTest, ErrorsNameThePath) {
  const absl::Status status = WriteFileAtomically(Path("no/such"), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("no/such"), absl::string_view::npos);
  EXPECT_EQ(ReadFile(Path("none")).status().code(),
            absl::StatusCode::kNotFound);
  fs::create_directories(Path("folder"));
  EXPECT_FALSE(WriteFileAtomically(Path("folder"), "x").ok());
  EXPECT_EQ(CountFiles(), 1);
}

}  // namespace
}  // namespace modelbatch
