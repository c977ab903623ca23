// Shows that each dependency compiles, links and gives a known answer.

#include <Random123/philox.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libxsmm.h>
#include <toml++/toml.h>
#include <zip.h>
#include <zlib.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(value, " is odd"));
  }
  return value / 2;
}

TEST(Abseil, StatusCarriesItsMessageAndPayload) {
  EXPECT_EQ(Half(8).value(), 4);
  absl::Status status = Half(7).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(), "7 is odd");
  // A payload is a Cord: the library whose static build does not link into
  // plugins.
  status.SetPayload("field", absl::Cord("value"));
  EXPECT_EQ(status.GetPayload("field").value(), "value");
}

TEST(Abseil, MapMutexAndTimeLink) {
  absl::Mutex mutex;
  absl::MutexLock lock(&mutex);
  absl::flat_hash_map<std::string, int> map = {{"a", 1}};
  EXPECT_EQ(map.at("a"), 1);
  EXPECT_EQ(absl::FormatDuration(absl::Seconds(90)), "1m30s");
}

TEST(TomlPlusPlus, ReportsAnErrorWithItsLine) {
  const toml::parse_result good = toml::parse("[train]\nlr = 0.5\n");
  ASSERT_TRUE(good);
  EXPECT_EQ(good["train"]["lr"].value<double>(), 0.5);
  const toml::parse_result bad = toml::parse("a = 1\nb = = 2\n");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().source().begin.line, 2u);
}

TEST(Json, RoundTrips) {
  const nlohmann::json value = nlohmann::json::parse(R"({"shape": [2, 3]})");
  EXPECT_THAT(value["shape"].get<std::vector<int>>(), ElementsAre(2, 3));
  EXPECT_EQ(value.dump(), R"({"shape":[2,3]})");
}

// From kat_vectors of the Random123 distribution.
TEST(Random123, PhiloxGivesThePublishedVectors) {
  using Philox = r123::Philox4x32;
  Philox philox;
  EXPECT_THAT(philox(Philox::ctr_type{{0, 0, 0, 0}}, Philox::key_type{{0, 0}}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(
      philox(Philox::ctr_type{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
             Philox::key_type{{0xa4093822, 0x299f31d0}}),
      ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(Libxsmm, GeneratesAKernelThatMultiplies) {
  // Column-major, c += a b with m = 2, n = 1, k = 2.
  const libxsmm_smmfunction kernel = libxsmm_smmdispatch(
      2, 1, 2, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  ASSERT_NE(kernel, nullptr);
  const float a[] = {1, 2, 3, 4};
  const float b[] = {5, 6};
  float c[] = {100, 200};
  kernel(a, b, c);
  EXPECT_THAT(c, ElementsAre(123, 234));
}

// The smallest archive there is: an end record without entries.
TEST(Libzip, OpensAnEmptyArchive) {
  const std::string bytes =
      std::string("PK\x05\x06", 4) + std::string(18, '\0');
  zip_source_t* source =
      zip_source_buffer_create(bytes.data(), bytes.size(), 0, nullptr);
  ASSERT_NE(source, nullptr);
  zip_t* archive = zip_open_from_source(source, ZIP_RDONLY, nullptr);
  ASSERT_NE(archive, nullptr);
  EXPECT_EQ(zip_get_num_entries(archive, 0), 0);
  zip_discard(archive);
}

// The check value of CRC-32/ISO-HDLC.
TEST(Zlib, GivesThePublishedChecksum) {
  const Bytef digits[] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  EXPECT_EQ(crc32(0, digits, sizeof(digits)), 0xcbf43926u);
}

TEST(Cli11, RefusesAnUnknownOption) {
  CLI::App app;
  int count = 0;
  app.add_option("--count", count);
  app.parse("--count 3");
  EXPECT_EQ(count, 3);
  try {
    app.parse("--cuont 3");
    FAIL() << "accepted an unknown option";
  } catch (const CLI::ParseError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--cuont"));
  }
}

}  // namespace
