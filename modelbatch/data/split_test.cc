#include "modelbatch/data/split.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

// Classes of the given sizes, interleaved.
DataTable MakeTable(const std::vector<int64_t>& class_sizes) {
  std::vector<int64_t> labels;
  std::vector<int64_t> left = class_sizes;
  bool any = true;
  while (any) {
    any = false;
    for (size_t c = 0; c < left.size(); ++c) {
      if (left[c]-- > 0) {
        labels.push_back(static_cast<int64_t>(c));
        any = true;
      }
    }
  }
  DataTable table;
  const int64_t rows = static_cast<int64_t>(labels.size());
  table.features = Tensor::Zeros(DType::kFloat32, {rows, 1});
  table.targets = Tensor::FromVector(labels, {rows});
  table.num_classes = static_cast<int64_t>(class_sizes.size());
  return table;
}

void ExpectPartition(const Split& split, int64_t rows) {
  std::vector<int32_t> all;
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
    all.insert(all.end(), part->begin(), part->end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(static_cast<int64_t>(all.size()), rows);
  for (int64_t i = 0; i < rows; ++i) EXPECT_EQ(all[i], i);
}

int64_t CountClass(const DataTable& table, const std::vector<int32_t>& part,
                   int64_t c) {
  return std::count_if(part.begin(), part.end(), [&](int32_t row) {
    return table.targets.data<int64_t>()[row] == c;
  });
}

TEST(ApportionTest, LargestRemainder) {
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(Apportion(10, {0.5, 0.3, 0.2}), (Sizes{5, 3, 2}));
  EXPECT_EQ(Apportion(20, {0.7, 0.15, 0.15}), (Sizes{14, 3, 3}));
  // 4.9, 1.05, 1.05
  EXPECT_EQ(Apportion(7, {0.7, 0.15, 0.15}), (Sizes{5, 1, 1}));
  // 0.7, 0.15, 0.15
  EXPECT_EQ(Apportion(1, {0.7, 0.15, 0.15}), (Sizes{1, 0, 0}));
  // 2.5 each: the earlier wins the tie.
  EXPECT_EQ(Apportion(5, {0.5, 0.5}), (Sizes{3, 2}));
  EXPECT_EQ(Apportion(3, {1, 0, 0}), (Sizes{3, 0, 0}));
  EXPECT_EQ(Apportion(0, {0.5, 0.5}), (Sizes{0, 0}));
}

TEST(SplitRowsTest, StratifiedKeepsProportions) {
  // The class sizes of the UCI digits.
  const std::vector<int64_t> sizes = {178, 182, 177, 183, 181,
                                      182, 181, 179, 174, 180};
  const DataTable table = MakeTable(sizes);
  const auto split = SplitRows(table, {0.6, 0.2, 0.2}, true, 3);
  ASSERT_TRUE(split.ok()) << split.status();
  ExpectPartition(*split, 1797);
  for (size_t c = 0; c < sizes.size(); ++c) {
    const double n = static_cast<double>(sizes[c]);
    EXPECT_LT(std::abs(CountClass(table, split->train, c) - 0.6 * n), 1);
    EXPECT_LT(std::abs(CountClass(table, split->validation, c) - 0.2 * n), 1);
    EXPECT_LT(std::abs(CountClass(table, split->test, c) - 0.2 * n), 1);
  }
}

// Rows that do not count are split in proportion as well, whatever their label.
TEST(SplitRowsTest, IgnoredRowsAreAClassOfTheirOwn) {
  for (const int64_t ignored : {-100, 0, 255}) {
    DataTable table = MakeTable({10, 10, 10});
    for (int64_t row = 2; row < 30; row += 3) {
      table.targets.data<int64_t>()[row] = ignored;
    }
    table.num_classes = 2;
    table.ignored_class = ignored;
    const auto split = SplitRows(table, {0.6, 0.2, 0.2}, true, 3);
    ASSERT_TRUE(split.ok()) << split.status();
    ExpectPartition(*split, 30);
    int64_t count = 0;
    for (const int32_t row : split->train) {
      count += table.targets.data<int64_t>()[row] == ignored;
    }
    // Label 0 is ignored in 20 rows, the others in 10.
    EXPECT_EQ(count, ignored == 0 ? 12 : 6);
  }
}

TEST(SplitRowsTest, PlainHasExactSizes) {
  const DataTable table = MakeTable({90, 10});
  const auto split = SplitRows(table, {0.7, 0.15, 0.15}, false, 3);
  ASSERT_TRUE(split.ok()) << split.status();
  ExpectPartition(*split, 100);
  EXPECT_EQ(split->train.size(), 70u);
  EXPECT_EQ(split->validation.size(), 15u);
  EXPECT_EQ(split->test.size(), 15u);
}

TEST(SplitRowsTest, SeedDecides) {
  const DataTable table = MakeTable({50, 50});
  const auto a = SplitRows(table, {0.5, 0.25, 0.25}, true, 1);
  const auto b = SplitRows(table, {0.5, 0.25, 0.25}, true, 1);
  const auto c = SplitRows(table, {0.5, 0.25, 0.25}, true, 2);
  EXPECT_EQ(a->train, b->train);
  EXPECT_EQ(a->test, b->test);
  EXPECT_NE(a->train, c->train);
  // Shuffled: not simply the first half.
  EXPECT_NE(a->train.back(), 49);
}

TEST(SplitRowsTest, Refuses) {
  const DataTable table = MakeTable({2, 2});
  EXPECT_FALSE(SplitRows(table, {0.5, 0.5, 0.5}, true, 1).ok());
  EXPECT_FALSE(SplitRows(table, {1.5, -0.5, 0}, true, 1).ok());
  EXPECT_FALSE(SplitRows(table, {std::nan(""), 0.5, 0.5}, true, 1).ok());
  const auto empty = SplitRows(table, {0.98, 0.01, 0.01}, true, 1);
  EXPECT_EQ(empty.status().message(),
            "the validation part, 0.01 of 4 rows, is empty, expected at least "
            "one row");
  DataTable regression = MakeTable({4});
  regression.targets = Tensor::Zeros(DType::kFloat32, {4, 1});
  EXPECT_FALSE(SplitRows(regression, {0.5, 0.25, 0.25}, true, 1).ok());
  EXPECT_TRUE(SplitRows(regression, {0.5, 0.25, 0.25}, false, 1).ok());
}

}  // namespace
}  // namespace modelbatch
