#include "modelbatch/data/concatenate.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "modelbatch/data/csv_reader.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

DataTable Csv(const std::string& text, const std::string& file,
              CsvOptions options = {}) {
  auto table = ParseCsv(text, file, options);
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

template <typename... Tables>
absl::StatusOr<DataTable> Join(Tables... tables) {
  std::vector<DataTable> all;
  (all.push_back(std::move(tables)), ...);
  return Concatenate(std::move(all));
}

template <typename... Tables>
std::string ErrorOf(Tables... tables) {
  const auto all = Join(std::move(tables)...);
  return all.ok() ? "no error" : std::string(all.status().message());
}

TEST(ConcatenateTest, RowsFollowInOrderAndKnowTheirFiles) {
  const auto all = Join(Csv("1,2,0\n3,4,1\n", "a.csv"), Csv("5,6,4\n", "b.csv"),
                        Csv("\n7,8,0\n", "c.csv"));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->features.shape(), (Shape{4, 2}));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(all->features.data<float>()[i], static_cast<float>(i + 1));
  }
  const int64_t labels[] = {0, 1, 4, 0};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(all->targets.data<int64_t>()[i], labels[i]);
  }
  EXPECT_EQ(all->num_classes, 5);
  EXPECT_EQ(all->where(1), "a.csv:2: column 3");
  EXPECT_EQ(all->where(2), "b.csv:1: column 3");
  EXPECT_EQ(all->where(3), "c.csv:2: column 3");
  // The fingerprint is of the rows of all.
  const auto other = Join(Csv("1,2,0\n3,4,1\n", "a.csv"),
                          Csv("5,6,4\n", "b.csv"), Csv("\n7,9,0\n", "c.csv"));
  EXPECT_NE(Fingerprint(*all), Fingerprint(*other));
}

TEST(ConcatenateTest, TablesMustFit) {
  CsvOptions values;
  values.classes = false;
  EXPECT_EQ(ErrorOf(Csv("1,2,0\n", "a"), Csv("1,2,3,0\n", "b")),
            "rows of the shape [3], expected [2]");
  EXPECT_EQ(ErrorOf(Csv("1,2,0\n", "a"), Csv("1,2,0\n", "b", values)),
            "1 column of targets, expected classes as targets");
  CsvOptions two = values;
  two.label = {{0, ""}, {1, ""}};
  EXPECT_EQ(ErrorOf(Csv("1,2,0\n", "a", two), Csv("1,0\n", "b", values)),
            "1 column of targets, expected 2 columns of targets");
  CsvOptions header;
  header.header = true;
  EXPECT_EQ(ErrorOf(Csv("x,y,l\n1,2,0\n", "a", header),
                    Csv("y,x,l\n1,2,0\n", "b", header)),
            "feature 1 is \"y\", expected \"x\", which is feature 2: the "
            "columns are in another order");
  EXPECT_EQ(ErrorOf(Csv("x,y,l\n1,2,0\n", "a", header),
                    Csv("x,z,m\n1,2,0\n", "b", header)),
            "feature 2 is \"z\", expected \"y\"");
  // Without names nothing can be said of them.
  EXPECT_EQ(ErrorOf(Csv("x,y,l\n1,2,0\n", "a", header), Csv("1,2,0\n", "b")),
            "no error");
}

}  // namespace
}  // namespace modelbatch
