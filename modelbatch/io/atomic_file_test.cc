#include "modelbatch/io/atomic_file.h"

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
