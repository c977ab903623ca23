#include "modelbatch/io/csv_records.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;

// The examples of RFC 4180, section 2.
TEST(CsvRecordsTest, ReadsFieldsAsTheRfcWritesThem) {
  const auto records = ParseCsvRecords(
      "a,b,c\r\n"
      "\"aaa\",\"b \r\nbb\",\"ccc\"\r\n"
      "\"aaa\",\"b\"\"bb\",\r\n"
      ",, x \n",
      "f.csv");
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 4u);
  EXPECT_THAT((*records)[0].fields, ElementsAre("a", "b", "c"));
  EXPECT_THAT((*records)[1].fields, ElementsAre("aaa", "b \r\nbb", "ccc"));
  EXPECT_THAT((*records)[2].fields, ElementsAre("aaa", "b\"bb", ""));
  EXPECT_THAT((*records)[3].fields, ElementsAre("", "", " x "));
  EXPECT_EQ((*records)[1].line, 2);
  EXPECT_EQ((*records)[2].line, 4);  // after the line inside a field
}

std::string ErrorOf(const std::string& text) {
  const absl::Status status = ParseCsvRecords(text, "f.csv").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(CsvRecordsTest, ErrorsNameFileAndLine) {
  EXPECT_EQ(ErrorOf(""), "f.csv:1: is empty, expected a header");
  EXPECT_EQ(ErrorOf("a,b\n1,2\n3\n"),
            "f.csv:3: the row has 1 fields, expected 2 as the header");
  EXPECT_EQ(ErrorOf("a,b\n1,2\n3,"), "f.csv:3: the line is cut off");
  EXPECT_EQ(ErrorOf("a,b\n1,2\n3,4"), "f.csv:3: the line is cut off");
  EXPECT_EQ(ErrorOf("a,b\n1,\"2\n3,4\n"), "f.csv:2: a quote is not closed");
  EXPECT_EQ(ErrorOf("a,b\n1,\"2\"3\n"),
            "f.csv:2: text after a closing quote, or a bare CR");
}

}  // namespace
}  // namespace modelbatch
