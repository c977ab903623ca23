#include "modelbatch/io/append_file.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string Path(const std::string& name) {
  const std::string path = TestFolder() + "/append_file_" + name;
  std::filesystem::remove_all(path);
  return path;
}

TEST(AppendFileTest, GrowsByPieces) {
  const std::string path = Path("grows");
  ASSERT_TRUE(CreateFile(path, "one\n").ok());
  ASSERT_TRUE(AppendToFile(path, "two\n").ok());
  ASSERT_TRUE(AppendToFile(path, "").ok());
  ASSERT_TRUE(AppendToFile(path, "three\n").ok());
  EXPECT_EQ(*ReadFile(path), "one\ntwo\nthree\n");
  ASSERT_TRUE(TruncateFile(path, 4).ok());
  ASSERT_TRUE(AppendToFile(path, "four\n").ok());
  EXPECT_EQ(*ReadFile(path), "one\nfour\n");
}

TEST(AppendFileTest, MakesTheFile) {
  const std::string path = Path("makes");
  ASSERT_TRUE(AppendToFile(path, "a").ok());
  EXPECT_EQ(*ReadFile(path), "a");
}

// What is there is never written over.
TEST(AppendFileTest, CreateRefusesAFileThatIsThere) {
  const std::string path = Path("there");
  ASSERT_TRUE(CreateFile(path, "kept").ok());
  const absl::Status status = CreateFile(path, "lost");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_EQ(*ReadFile(path), "kept");
}

TEST(AppendFileTest, ErrorsNameThePath) {
  const std::string path = Path("no_folder") + "/file";
  for (const absl::Status& status :
       {CreateFile(path, "a"), AppendToFile(path, "a"),
        TruncateFile(path, 0)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

// Where only a part fits, none of it stays: here by the limit on a file's size.
TEST(AppendFileTest, APieceThatDoesNotFitIsTakenBack) {
  const std::string path = Path("full");
  ASSERT_TRUE(CreateFile(path, std::string(1000, 'a')).ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  rlimit small = limit;
  small.rlim_cur = 5000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = AppendToFile(path, std::string(9000, 'b'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(*ReadFile(path), std::string(1000, 'a'));
}

}  // namespace
}  // namespace modelbatch
