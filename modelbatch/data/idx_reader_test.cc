#include "modelbatch/data/idx_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

// Gzipped files are in tests/interop.

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

template <size_t size>
std::string Bytes(const char (&text)[size]) {
  return std::string(text, size - 1);
}

std::string ErrorOf(const std::string& bytes) {
  const auto array = ParseIdx(bytes, "y");
  return array.ok() ? "no error" : std::string(array.status().message());
}

// The examples are laid out as the format's page says.
TEST(ParseIdxTest, EveryType) {
  const auto labels =
      ParseIdx(Bytes("\0\0\x08\x01\0\0\0\x03\x05\x00\x09"), "y");
  ASSERT_TRUE(labels.ok()) << labels.status();
  EXPECT_EQ(labels->type, NumberType::kUInt8);
  EXPECT_EQ(labels->shape, (Shape{3}));
  EXPECT_EQ(labels->bytes, Bytes("\x05\x00\x09"));
  const auto images = ParseIdx(
      Bytes("\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02\x01\x02\x03\x04"), "x");
  ASSERT_TRUE(images.ok()) << images.status();
  EXPECT_EQ(images->shape, (Shape{1, 2, 2}));
  const auto type = [](const std::string& bytes) {
    const auto array = ParseIdx(bytes, "x");
    EXPECT_TRUE(array.ok()) << array.status();
    return std::make_pair(array->type, array->bytes);
  };
  EXPECT_EQ(type(Bytes("\0\0\x09\x01\0\0\0\x01\xff")),
            std::make_pair(NumberType::kInt8, Bytes("\xff")));
  EXPECT_EQ(type(Bytes("\0\0\x0b\x01\0\0\0\x01\x01\x02")),
            std::make_pair(NumberType::kInt16, Bytes("\x02\x01")));
  EXPECT_EQ(type(Bytes("\0\0\x0c\x01\0\0\0\x01\x01\x02\x03\x04")),
            std::make_pair(NumberType::kInt32, Bytes("\x04\x03\x02\x01")));
  EXPECT_EQ(type(Bytes("\0\0\x0d\x01\0\0\0\x01\x3f\x80\0\0")),
            std::make_pair(NumberType::kFloat32, Bytes("\0\0\x80\x3f")));
  EXPECT_EQ(
      type(Bytes("\0\0\x0e\x01\0\0\0\x01\x3f\xf0\0\0\0\0\0\0")),
      std::make_pair(NumberType::kFloat64, Bytes("\0\0\0\0\0\0\xf0\x3f")));
}

TEST(ParseIdxTest, ErrorsSayWhatWasExpected) {
  EXPECT_EQ(ErrorOf("\x93NUMPY"),
            "y: not a valid IDX file: it begins with the bytes 93 4e 55 4d, "
            "expected 00 00, a type (08, 09, 0b, 0c, 0d, 0e) and a rank");
  EXPECT_THAT(ErrorOf(Bytes("\0\0\x0a\x01\0\0\0\x01\x01")),
              HasSubstr("begins with the bytes 00 00 0a 01"));
  EXPECT_EQ(ErrorOf(Bytes("\0\0\x08\x01\0\0\0\x03\x05\x00")),
            "y: not a valid IDX file: it has 2 bytes of data, expected 3 for "
            "the shape [3]");
  EXPECT_EQ(ErrorOf(Bytes("\0\0\x08\x01\0\0\0\x03\x05\x00\x01\x02")),
            "y: not a valid IDX file: it has more than 3 bytes of data, "
            "expected 3 for the shape [3]");
  const std::string whole =
      Bytes("\0\0\x0c\x02\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x02");
  EXPECT_EQ(ErrorOf(whole), "no error");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ErrorOf(whole.substr(0, size)),
                HasSubstr("y: not a valid IDX file: it has "))
        << size;
  }
  EXPECT_THAT(ErrorOf(Bytes("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                            "\xff\xff\xff")),
              HasSubstr("overflows"));
  EXPECT_THAT(ErrorOf(Bytes("\0\0\x08\x01\xff\xff\xff\xff")),
              HasSubstr("0 bytes of data, expected 4294967295"));
}

TEST(ReadIdxTest, NoFile) {
  EXPECT_EQ(ReadIdx("/nowhere/y").status().message(),
            "cannot read /nowhere/y: No such file or directory");
}

}  // namespace
}  // namespace modelbatch
