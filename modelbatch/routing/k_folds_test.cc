// The invariants of scikit-learn's KFold and StratifiedKFold, written out.
#include "modelbatch/routing/k_folds.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

using Labels = std::vector<int64_t>;

Tensor ToTensor(const Labels& labels) {
  return Tensor::FromVector(labels, {static_cast<int64_t>(labels.size())});
}

// Validation parts are a partition whose sizes differ by one at most, and what
// is not in one is in its train part; all ascending.
void ExpectFolds(const std::vector<Fold>& folds, int32_t num_rows) {
  std::vector<int> validated(num_rows);
  size_t least = num_rows;
  size_t most = 0;
  for (const Fold& fold : folds) {
    least = std::min(least, fold.validation.size());
    most = std::max(most, fold.validation.size());
    for (int32_t row : fold.validation) ++validated[row];
    std::vector<int32_t> all;
    EXPECT_TRUE(std::is_sorted(fold.train.begin(), fold.train.end()));
    EXPECT_TRUE(std::is_sorted(fold.validation.begin(), fold.validation.end()));
    std::merge(fold.train.begin(), fold.train.end(), fold.validation.begin(),
               fold.validation.end(), std::back_inserter(all));
    ASSERT_EQ(all.size(), static_cast<size_t>(num_rows));
    for (int32_t row = 0; row < num_rows; ++row) EXPECT_EQ(all[row], row);
  }
  EXPECT_EQ(validated, std::vector<int>(num_rows, 1));
  EXPECT_LE(most - least, 1u);
}

bool Equal(const std::vector<Fold>& a, const std::vector<Fold>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Fold& x, const Fold& y) {
                      return x.train == y.train && x.validation == y.validation;
                    });
}

TEST(KFoldsTest, EveryRowIsValidatedOnce) {
  for (int32_t rows : {2, 3, 7, 10, 101}) {
    for (int64_t k : {2, 3, 5, 10}) {
      if (k > rows) continue;
      const auto folds = KFolds(rows, k, 3);
      ASSERT_TRUE(folds.ok()) << folds.status();
      EXPECT_EQ(folds->size(), static_cast<size_t>(k));
      ExpectFolds(*folds, rows);
      // As scikit-learn: the first rows % k folds have one more.
      for (int64_t fold = 0; fold < k; ++fold) {
        EXPECT_EQ((*folds)[fold].validation.size(),
                  static_cast<size_t>(rows / k + (fold < rows % k)));
      }
    }
  }
}

TEST(KFoldsTest, TheSeedDecidesAndRowsAreShuffled) {
  EXPECT_TRUE(Equal(*KFolds(60, 4, 1), *KFolds(60, 4, 1)));
  EXPECT_FALSE(Equal(*KFolds(60, 4, 1), *KFolds(60, 4, 2)));
  std::vector<int32_t> unshuffled;
  for (int32_t row = 0; row < 60; row += 4) unshuffled.push_back(row);
  EXPECT_NE(KFolds(60, 4, 1)->front().validation, unshuffled);
}

TEST(StratifiedKFoldsTest, EveryFoldHasItsShareOfEveryClass) {
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    const int32_t rows = 10 + static_cast<int32_t>(random() % 90);
    const int classes = 1 + static_cast<int>(random() % 6);
    const int64_t k = 2 + static_cast<int64_t>(random() % 9);
    Labels labels;
    for (int32_t row = 0; row < rows; ++row) {
      // Unbalanced: the larger of two draws.
      labels.push_back(std::max(random() % classes, random() % classes));
    }
    const auto folds = StratifiedKFolds(ToTensor(labels), k, i);
    ASSERT_TRUE(folds.ok()) << folds.status();
    ExpectFolds(*folds, rows);
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t n = std::count(labels.begin(), labels.end(), c);
      for (const Fold& fold : *folds) {
        const int64_t own =
            std::count_if(fold.validation.begin(), fold.validation.end(),
                          [&](int32_t row) { return labels[row] == c; });
        // Floor or ceiling of the even share: any two differ by one at most.
        EXPECT_GE(own, n / k);
        EXPECT_LE(own, (n + k - 1) / k);
      }
    }
  }
}

// Where a row of one class comes to says nothing about the other class.
TEST(StratifiedKFoldsTest, ClassesAreShuffledIndependently) {
  Labels labels;
  for (int64_t row = 0; row < 20; ++row) labels.push_back(row / 10);
  const int kSeeds = 4000;
  int together = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto folds = StratifiedKFolds(ToTensor(labels), 2, seed);
    const std::vector<int32_t>& rows = folds->front().validation;
    const auto has = [&](int32_t row) {
      return std::binary_search(rows.begin(), rows.end(), row);
    };
    together += has(3) == has(13);
  }
  EXPECT_NEAR(together, kSeeds / 2, 158);  // 5 standard deviations
}

TEST(KFoldsTest, LeaveOneOut) {
  const auto folds = KFolds(9, 9, 0);
  ASSERT_TRUE(folds.ok()) << folds.status();
  ExpectFolds(*folds, 9);
  for (const Fold& fold : *folds) EXPECT_EQ(fold.validation.size(), 1u);
}

TEST(KFoldsTest, Refuse) {
  const auto message = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(message(KFolds(10, 1, 0).status()),
            "num_folds is 1, expected 2 to 10, the number of rows");
  EXPECT_EQ(message(KFolds(10, 11, 0).status()),
            "num_folds is 11, expected 2 to 10, the number of rows");
  EXPECT_EQ(message(KFolds(1, 2, 0).status()),
            "num_rows is 1, expected 2 to 2147483647");
  EXPECT_EQ(message(KFolds(-5, 2, 0).status()),
            "num_rows is -5, expected 2 to 2147483647");
  EXPECT_EQ(message(StratifiedKFolds(ToTensor({0, -2}), 2, 0).status()),
            "the label of row 1 is -2, expected 0 to 9223372036854775806");
  EXPECT_EQ(message(StratifiedKFolds(Tensor(), 2, 0).status()),
            "the labels are float32 [0], expected int64 [rows] of 1 to "
            "2147483647 rows");
}

}  // namespace
}  // namespace modelbatch
