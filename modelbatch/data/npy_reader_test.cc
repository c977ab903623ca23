#include "modelbatch/data/npy_reader.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// What NumPy writes itself is in tests/interop.

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

// A file by hand, as numpy.lib.format describes version 1.
std::string File(const std::string& header, const std::string& data) {
  std::string bytes = "\x93NUMPY";
  bytes += std::string("\x01\x00", 2);
  bytes.push_back(static_cast<char>(header.size() & 0xff));
  bytes.push_back(static_cast<char>(header.size() >> 8));
  return bytes + header + data;
}

std::string ErrorOf(const std::string& bytes) {
  const auto array = ParseNpy(bytes, "x.npy");
  return array.ok() ? "no error" : std::string(array.status().message());
}

std::string HeaderError(const std::string& header) {
  return ErrorOf(File(header, std::string(6, '\0')));
}

constexpr char kGood[] =
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";

TEST(ParseNpyTest, ReadsAFileWrittenByHand) {
  const auto array = ParseNpy(File(kGood, "\x01\x02\x03\x04\x05\x06"), "x.npy");
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->name, "x.npy");
  EXPECT_EQ(array->type, NumberType::kUInt8);
  EXPECT_EQ(array->shape, (Shape{2, 3}));
  EXPECT_EQ(array->bytes, "\x01\x02\x03\x04\x05\x06");
}

TEST(ParseNpyTest, OrdersOfBytesAndOfMemory) {
  const auto array = ParseNpy(
      File("{\"shape\":(2,2),\"fortran_order\":True,\"descr\":\">u2\"} \n",
           std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8)),
      "x.npy");
  ASSERT_TRUE(array.ok()) << array.status();
  // In memory 0x0102, 0x0304, 0x0506, 0x0708 is the first column, then the
  // second.
  EXPECT_EQ(array->bytes, "\x02\x01\x06\x05\x04\x03\x08\x07");
}

TEST(ParseNpyTest, RefusesOtherHeaders) {
  EXPECT_EQ(HeaderError(kGood), "no error");
  const char* const kBad[] = {
      "",
      "{",
      "{}",
      "[]",
      "{'descr': '|u1', 'fortran_order': False}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)} x",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)",
      "{'descr': '|u1', 'fortran_order': False, 'shape': [2, 3]}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, -3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2.0, 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': 6}",
      "{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 3)}",
      "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), 'x': 1}",
      "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (6)}",
      "{'descr' '|u1', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '|u1, 'fortran_order': False, 'shape': (2, 3)}",
      "{descr: '|u1', 'fortran_order': False, 'shape': (2, 3)}",
  };
  for (const char* header : kBad) {
    EXPECT_THAT(HeaderError(header),
                HasSubstr("x.npy: not a valid NPY file: its header, byte "))
        << header;
  }
  EXPECT_THAT(HeaderError("{'descr': '|u1', 'fortran_order': False, 'shape': "
                          "(99999999999999999999,)}"),
              HasSubstr("a size overflows"));
  EXPECT_THAT(HeaderError("{'descr': '<f8', 'fortran_order': False, 'shape': "
                          "(1099511627776, 1099511627776)}"),
              HasSubstr("overflows"));
}

TEST(ParseNpyTest, RefusesOtherTypesByName) {
  const auto error = [](const std::string& descr) {
    return HeaderError("{'descr': " + descr +
                       ", 'fortran_order': False, 'shape': (6,), }");
  };
  for (const char* descr : {"<f2", "<c8", "<U3", "|S1", "<M8[ns]", "|V6", "f",
                            "", "<", "<f16", "<i16", "x"}) {
    EXPECT_EQ(error(absl::StrCat("'", descr, "'")),
              absl::StrCat("x.npy: has the dtype \"", descr,
                           "\", expected float32, float64, integers or "
                           "booleans"));
  }
  EXPECT_THAT(error("'|O'"), HasSubstr("has Python objects"));
  EXPECT_THAT(error("[('a', '<f4'), ('b', [('c', '<i4')])]"),
              HasSubstr("has a structured dtype"));
}

TEST(ParseNpyTest, RefusesOtherSizes) {
  EXPECT_EQ(ErrorOf(File(kGood, "12345")),
            "x.npy: not a valid NPY file: it has 5 bytes of data, expected 6 "
            "for the shape [2, 3]");
  EXPECT_THAT(ErrorOf(File(kGood, "1234567")), HasSubstr("7 bytes of data"));
  const std::string whole = File(kGood, "123456");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ErrorOf(whole.substr(0, size)),
                HasSubstr("x.npy: not a valid NPY file"))
        << size;
  }
  EXPECT_THAT(ErrorOf("PK\x03\x04"), HasSubstr("does not begin with"));
  std::string version = whole;
  version[6] = 4;
  EXPECT_EQ(ErrorOf(version), "x.npy: is of NPY version 4, expected 1, 2 or 3");
  version[6] = 2;  // then the length has four bytes, here absurd ones
  EXPECT_THAT(ErrorOf(version), HasSubstr("a header of "));
}

TEST(ReadNpyTest, NoFile) {
  EXPECT_EQ(ReadNpy("/nowhere/x.npy").status().message(),
            "cannot read /nowhere/x.npy: No such file or directory");
  EXPECT_EQ(ReadNpz("/nowhere/x.npz", {"x"}).status().message(),
            "cannot read /nowhere/x.npz: No such file or directory");
}

}  // namespace
}  // namespace modelbatch
