#include "modelbatch/io/tf_record.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Records {
  std::vector<std::string> records;
  size_t offset = 0;
  absl::Status status;
};

Records Read(std::string_view file) {
  Records result;
  TfRecordReader reader(file);
  std::string_view record;
  while (true) {
    const absl::StatusOr<bool> more = reader.Next(&record);
    result.status = more.status();
    if (!more.ok() || !*more) break;
    result.records.emplace_back(record);
  }
  result.offset = reader.offset();
  return result;
}

// The first record of every event file, as TensorBoard's own writer frames it;
// tests/interop has TensorBoard read whole files.
TEST(TfRecordTest, BytesOfTheFormat) {
  std::string file;
  AppendTfRecord("", &file);
  // Masked CRC-32C of eight zeros, and of nothing.
  EXPECT_EQ(file.size(), 16u);
  EXPECT_EQ(file.substr(0, 8), std::string(8, '\0'));
  EXPECT_EQ(file.substr(12), "\xd8\xea\x82\xa2");
}

TEST(TfRecordTest, ReadsBack) {
  std::string file;
  const std::string zeros(300, '\0');
  for (const std::string& record : {std::string("one"), std::string(), zeros}) {
    AppendTfRecord(record, &file);
  }
  const Records read = Read(file);
  EXPECT_TRUE(read.status.ok());
  EXPECT_THAT(read.records, ElementsAre("one", "", zeros));
  EXPECT_EQ(read.offset, file.size());
}

// A killed process leaves a part of the last record: what is before it counts.
TEST(TfRecordTest, ACutRecordIsTheEnd) {
  std::string file;
  AppendTfRecord("one", &file);
  const size_t whole = file.size();
  AppendTfRecord("two", &file);
  for (size_t size = whole; size < file.size(); ++size) {
    const Records read = Read(std::string_view(file).substr(0, size));
    EXPECT_TRUE(read.status.ok()) << size;
    EXPECT_THAT(read.records, ElementsAre("one")) << size;
    EXPECT_EQ(read.offset, whole);
  }
}

TEST(TfRecordTest, EveryFlippedBitIsFound) {
  std::string file;
  AppendTfRecord("one", &file);
  const size_t whole = file.size();
  AppendTfRecord("two", &file);
  for (size_t bit = 0; bit < 8 * whole; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Records read = Read(damaged);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kDataLoss) << bit;
    EXPECT_THAT(std::string(read.status.message()), HasSubstr("at byte 0"));
  }
}

}  // namespace
}  // namespace modelbatch
