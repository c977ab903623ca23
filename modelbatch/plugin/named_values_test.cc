#include "modelbatch/plugin/named_values.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

TEST(NamedValues, EveryTypeGoesBothWays) {
  const Attributes attributes = {
      {"int", std::numeric_limits<int64_t>::min()},
      {"float", 0.1},
      {"infinity", std::numeric_limits<double>::infinity()},
      {"true", true},
      {"false", false},
      {"string", std::string("tanh")},
      {"empty string", std::string()},
      {"list", std::vector<int64_t>{3, -1, 4}},
      {"empty list", std::vector<int64_t>{}},
      {"floats", std::vector<double>{0.1, -0.0, 1e300}},
      {"no floats", std::vector<double>{}},
      {"bytes", std::vector<uint8_t>{0, 255, 0, 'a'}},
      {"no bytes", std::vector<uint8_t>{}},
  };
  const NamedValues values(attributes);
  ASSERT_EQ(values.size(), attributes.size());
  const auto back = ToAttributes(values.data(), values.size(), "options");
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, attributes);
}

TEST(NamedValues, NoneIsNone) {
  const NamedValues values({});
  EXPECT_EQ(values.size(), 0u);
  const auto back = ToAttributes(nullptr, 0, "options");
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->empty());
}

std::string Refusal(const std::vector<MB_NamedValue>& values) {
  const auto result = ToAttributes(values.data(), values.size(), "options");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

MB_NamedValue Value(const char* name, int32_t type) {
  MB_NamedValue value = {};
  value.name = name;
  value.type = type;
  return value;
}

TEST(NamedValues, RefusalsNameTheEntry) {
  EXPECT_EQ(ToAttributes(nullptr, 2, "options").status().message(),
            "options is NULL, expected 2 values");
  EXPECT_EQ(Refusal({Value("a", MB_VALUE_INT64), Value(nullptr, 0)}),
            "options[1].name is NULL");
  EXPECT_THAT(Refusal({Value("a", 7)}), HasSubstr("options[0] (\"a\")"));
  EXPECT_THAT(Refusal({Value("a", 7)}), HasSubstr("type 7, expected 0 to 6"));
  EXPECT_THAT(Refusal({Value("a", -1)}), HasSubstr("type -1"));
  EXPECT_THAT(Refusal({Value("a", MB_VALUE_STRING)}), HasSubstr("NULL"));
  MB_NamedValue value = Value("a", MB_VALUE_BOOL);
  value.i = 2;
  EXPECT_THAT(Refusal({value}), HasSubstr("expected 0 or 1"));
  for (const int32_t type :
       {MB_VALUE_INT64_LIST, MB_VALUE_FLOAT64_LIST, MB_VALUE_BYTES}) {
    value = Value("a", type);
    value.list_size = 1;
    EXPECT_THAT(Refusal({value}), HasSubstr("NULL with size 1"));
  }
  value = Value("a", MB_VALUE_INT64);
  value.reserved = 1;
  EXPECT_THAT(Refusal({value}), HasSubstr("reserved is 1"));
  EXPECT_THAT(Refusal({Value("a", 0), Value("a", 0)}), HasSubstr("twice"));
}

TEST(NamedValues, AZeroByteWouldCutAString) {
  using std::string_literals::operator""s;
  EXPECT_TRUE(CheckCStrings({{"a", std::string("b")}}, "options").ok());
  EXPECT_EQ(CheckCStrings({{"a", "b\0c"s}}, "options").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckCStrings({{"a\0"s, int64_t{1}}}, "options").code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace modelbatch
