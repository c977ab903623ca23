#include "modelbatch/io/gzip.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

// gzip.compress(b"hello hello hello\n", mtime=0) of Python 3.11.
const std::string& Hello() {
  static const auto* const kBytes = new std::string(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x40"
      "\x90\x5c\x00\x3b\x7c\x8a\xdf\x12\x00\x00\x00",
      29);
  return *kBytes;
}

// The same of b"x\n".
const std::string& X() {
  static const auto* const kBytes = new std::string(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xe0\x02\x00\x1f\x08\xea\x46"
      "\x02\x00\x00\x00",
      22);
  return *kBytes;
}

TEST(GunzipTest, OneMemberAndSeveral) {
  EXPECT_TRUE(IsGzip(Hello()));
  EXPECT_FALSE(IsGzip("hello"));
  EXPECT_FALSE(IsGzip(""));
  EXPECT_EQ(Gunzip(Hello(), 1000, "f").value(), "hello hello hello\n");
  EXPECT_EQ(Gunzip(Hello() + X() + Hello(), 1000, "f").value(),
            "hello hello hello\nx\nhello hello hello\n");
}

TEST(GunzipTest, StopsAtTheLimit) {
  EXPECT_EQ(Gunzip(Hello(), 5, "f").value(), "hello");
  EXPECT_EQ(Gunzip(Hello(), 18, "f").value(), "hello hello hello\n");
  EXPECT_EQ(Gunzip(Hello() + X(), 19, "f").value(), "hello hello hello\nx");
  EXPECT_EQ(Gunzip(Hello(), 0, "f").value(), "");
}

TEST(GunzipTest, RefusesDamage) {
  for (size_t size = 2; size < Hello().size(); ++size) {
    EXPECT_EQ(Gunzip(Hello().substr(0, size), 1000, "f").status().message(),
              "f: not a valid gzip file: it is truncated");
  }
  EXPECT_THAT(Gunzip(Hello() + "junk", 1000, "f").status().message(),
              HasSubstr("bytes follow its end at byte 29"));
  std::string damaged = Hello();
  damaged[22] ^= 1;  // the checksum
  EXPECT_THAT(Gunzip(damaged, 1000, "f").status().message(),
              HasSubstr("incorrect data check"));
  EXPECT_EQ(Gunzip("\x1f\x8b\x09", 1000, "f").status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace modelbatch
