// A tuning file comes back as it was written, whoever wrote it; one that is
// broken is a Status that says where, and changes nothing.
#include "backends/cpu/tuning_table.h"

#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch::cpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr ProductShape kForward = {Product::kForward, 64, 10, 128};
constexpr ProductShape kWeight = {Product::kWeightGradient, 64, 10, 128};
constexpr TunedProduct kWide = {{true, false}, 2.5e-6, 1.25e-6};

std::string Path(const std::string& name) {
  return TestFolder() + "/" + name + ".txt";
}

// The status' message, and that the table stayed empty.
std::string Refusal(const std::string& text, absl::StatusCode code) {
  const std::string path = Path("refused");
  EXPECT_TRUE(WriteFileAtomically(path, text).ok());
  TuningTable table("this");
  std::string notes;
  const absl::Status status = table.Read(path, &notes);
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_FALSE(table.Find("avx2", kForward));
  return std::string(status.message());
}

std::string Written() {
  TuningTable table("this");
  table.Add("avx2", kForward, kWide);
  table.Add("avx2", kWeight, {});
  std::string notes;
  std::remove(Path("written").c_str());
  EXPECT_TRUE(table.AddTo(Path("written"), &notes).ok());
  EXPECT_THAT(notes, HasSubstr("wrote 2 products"));
  return *ReadFile(Path("written"));
}

TEST(TuningTable, IsWrittenAsTheHeaderSays) {
  EXPECT_EQ(Written(),
            "modelbatch cpu tuning 1\n"
            "avx2 forward 64 10 128 wide direct 2.500 1.250 this\n"
            "avx2 weight_gradient 64 10 128 narrow packed 0.000 0.000 this\n"
            "end 2\n");
}

TEST(TuningTable, ComesBackFromAFile) {
  Written();
  TuningTable table("this");
  std::string notes;
  ASSERT_TRUE(table.Read(Path("written"), &notes).ok());
  EXPECT_THAT(notes, HasSubstr("read 2 products of this processor"));
  const auto found = table.Find("avx2", kForward);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->tiling == kWide.tiling);
  EXPECT_DOUBLE_EQ(found->default_seconds, 2.5e-6);
  EXPECT_DOUBLE_EQ(found->seconds, 1.25e-6);
  EXPECT_FALSE(table.Find("generic", kForward));
  EXPECT_FALSE(table.Find("avx2", {Product::kForward, 64, 10, 129}));
}

TEST(TuningTable, AnotherProcessorsAreIgnoredAndKept) {
  Written();
  TuningTable other("Another CPU @ 3.0GHz");
  std::string notes;
  ASSERT_TRUE(other.Read(Path("written"), &notes).ok());
  EXPECT_THAT(notes, AllOf(HasSubstr("read 0 products"),
                           HasSubstr("ignored 2 of others")));
  EXPECT_FALSE(other.Find("avx2", kForward));
  other.Add("avx2", kForward, {});
  ASSERT_TRUE(other.AddTo(Path("both"), &notes).ok());
  TuningTable table("this");
  ASSERT_TRUE(table.Read(Path("both"), &notes).ok());
  ASSERT_TRUE(table.Find("avx2", kForward));
  EXPECT_TRUE(table.Find("avx2", kForward)->tiling == kWide.tiling);
}

TEST(TuningTable, WhatTheProcessMeasuredStays) {
  Written();
  TuningTable table("this");
  table.Add("avx2", kForward, {});
  std::string notes;
  ASSERT_TRUE(table.Read(Path("written"), &notes).ok());
  EXPECT_TRUE(table.Find("avx2", kForward)->tiling == GemmTiling());
}

// Two processes that have read the same file, or none.
TEST(TuningTable, WhatAnotherHasWrittenMeanwhileStays) {
  const ProductShape more = {Product::kInputGradient, 3, 5, 7};
  TuningTable first("this"), second("this");
  first.Add("avx2", kForward, kWide);
  second.Add("avx2", more, kWide);
  std::string notes;
  ASSERT_TRUE(first.AddTo(Path("shared"), &notes).ok());
  ASSERT_TRUE(second.AddTo(Path("shared"), &notes).ok());
  EXPECT_THAT(notes, HasSubstr("wrote 2 products"));
  // Nothing new is nothing to write.
  notes.clear();
  ASSERT_TRUE(second.AddTo(Path("shared"), &notes).ok());
  EXPECT_EQ(notes, "");
  TuningTable table("this");
  ASSERT_TRUE(table.Read(Path("shared"), &notes).ok());
  EXPECT_TRUE(table.Find("avx2", kForward));
  EXPECT_TRUE(table.Find("avx2", more));
}

TEST(TuningTable, NoFileIsNone) {
  TuningTable table("this");
  std::string notes;
  EXPECT_TRUE(table.Read(Path("nowhere"), &notes).ok());
  EXPECT_THAT(notes, HasSubstr("not there yet"));
  EXPECT_FALSE(table.Read(TestFolder(), &notes).ok());
  table.Add("avx2", kForward, kWide);
  EXPECT_FALSE(table.AddTo("/no/such/folder/x.txt", &notes).ok());
}

TEST(TuningTable, ATruncatedFileIsRefusedWhereverItEnds) {
  const std::string text = Written();
  for (size_t size = 0; size < text.size(); ++size) {
    ASSERT_TRUE(
        WriteFileAtomically(Path("truncated"), text.substr(0, size)).ok());
    TuningTable table("this");
    std::string notes;
    EXPECT_FALSE(table.Read(Path("truncated"), &notes).ok()) << size;
    EXPECT_FALSE(table.Find("avx2", kForward));
  }
  EXPECT_THAT(
      Refusal(text.substr(0, text.size() - 1), absl::StatusCode::kDataLoss),
      HasSubstr("truncated"));
}

TEST(TuningTable, AForeignFileIsNamed) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Refusal("", kInvalid), HasSubstr("line 1"));
  EXPECT_THAT(Refusal("epoch,model\n1,2\n", kInvalid),
              AllOf(HasSubstr("line 1: found \"epoch,model\""),
                    HasSubstr("expected \"modelbatch cpu tuning 1\"")));
  EXPECT_THAT(Refusal("modelbatch cpu tuning 2\nend 0\n", kInvalid),
              HasSubstr("tuning 2"));
}

TEST(TuningTable, AWrongLineIsNamed) {
  const auto refusal = [](const std::string& line, int count = 1) {
    return Refusal("modelbatch cpu tuning 1\n" + line + "\nend " +
                       std::to_string(count) + "\n",
                   absl::StatusCode::kInvalidArgument);
  };
  EXPECT_THAT(refusal("avx2 forward 1"), HasSubstr("line 2: found 3 words"));
  EXPECT_THAT(refusal("avx2 both 1 2 3 wide packed 1 1 this"),
              HasSubstr("line 2: found \"both\", expected forward"));
  EXPECT_THAT(refusal("avx2 forward 1 -2 3 wide packed 1 1 this"),
              HasSubstr("found \"-2\", expected a size"));
  EXPECT_THAT(refusal("avx2 forward 1 2 3 huge packed 1 1 this"),
              HasSubstr("found \"huge\", expected wide or narrow"));
  EXPECT_THAT(refusal("avx2 forward 1 2 3 wide packed nan 1 this"),
              HasSubstr("found \"nan\", expected microseconds"));
  const std::string line = "avx2 forward 1 2 3 wide packed 1 1 this";
  EXPECT_THAT(refusal(line + "\n" + line, 2), HasSubstr("line 3: the same"));
}

}  // namespace
}  // namespace modelbatch::cpu
