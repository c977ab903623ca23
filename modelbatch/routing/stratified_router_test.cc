// What each strategy gives each model, against formulas written from the
// header's words.
#include "modelbatch/routing/stratified_router.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

using Labels = std::vector<int64_t>;
using Lists = std::vector<std::vector<int64_t>>;

Tensor ToTensor(const Labels& labels) {
  return Tensor::FromVector(labels, {static_cast<int64_t>(labels.size())});
}

Lists Route(int num_models, const std::string& strategy, const Labels& labels,
            std::optional<int64_t> num_classes = {}, uint64_t seed = 0) {
  const auto router = StratifiedRouter::Create(num_models, strategy, seed);
  const auto indices =
      router->CreateStratifiedIndices(ToTensor(labels), num_classes);
  EXPECT_TRUE(indices.ok()) << indices.status();
  Lists lists;
  for (const Tensor& list : *indices) {
    const int64_t* values = list.data<int64_t>();
    lists.emplace_back(values, values + list.size());
  }
  return lists;
}

struct Case {
  Labels labels;
  int num_models;
};

// Label vectors of many sizes, some of one class, some with classes missing.
std::vector<Case> RandomCases() {
  std::mt19937 random(5);
  const auto up_to = [&](int n) { return 1 + static_cast<int>(random() % n); };
  std::vector<Case> cases;
  for (int i = 0; i < 300; ++i) {
    Case c;
    const int size = up_to(60);
    const int classes = up_to(9);
    for (int row = 0; row < size; ++row) {
      c.labels.push_back(static_cast<int64_t>(random() % classes));
    }
    c.num_models = up_to(12);
    cases.push_back(c);
  }
  return cases;
}

void ExpectPartition(const Lists& lists, const Case& c) {
  ASSERT_EQ(lists.size(), static_cast<size_t>(c.num_models));
  std::vector<int64_t> all;
  for (const auto& list : lists)
    all.insert(all.end(), list.begin(), list.end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), c.labels.size());
  for (size_t row = 0; row < all.size(); ++row) {
    ASSERT_EQ(all[row], static_cast<int64_t>(row));
  }
}

void ExpectBalanced(const Lists& lists, const Labels& labels) {
  const int64_t classes = *std::max_element(labels.begin(), labels.end()) + 1;
  for (const auto& a : lists) {
    for (const auto& b : lists) {
      EXPECT_LE(
          std::abs(static_cast<int>(a.size()) - static_cast<int>(b.size())), 1);
      for (int64_t c = 0; c < classes; ++c) {
        const auto count = [&](const std::vector<int64_t>& list) {
          return std::count_if(list.begin(), list.end(),
                               [&](int64_t row) { return labels[row] == c; });
        };
        EXPECT_LE(std::abs(count(a) - count(b)), 1) << "class " << c;
      }
    }
  }
}

TEST(StratifiedRouterTest, RoundRobinByHand) {
  // Class 0: rows 1, 3, 4; class 1: row 0; class 2: rows 2, 5.
  const Labels labels = {1, 0, 2, 0, 0, 2};
  EXPECT_EQ(Route(2, "round_robin", labels), (Lists{{1, 4, 2}, {3, 0, 5}}));
  EXPECT_EQ(Route(4, "round_robin", labels), (Lists{{1, 2}, {3, 5}, {4}, {0}}));
}

// The rank of a row among all, ordered by class and then by row, decides.
TEST(StratifiedRouterTest, RoundRobinIsTheFormula) {
  for (const Case& c : RandomCases()) {
    const Lists lists = Route(c.num_models, "round_robin", c.labels);
    ExpectPartition(lists, c);
    ExpectBalanced(lists, c.labels);
    for (size_t row = 0; row < c.labels.size(); ++row) {
      int64_t rank = 0;
      for (size_t other = 0; other < c.labels.size(); ++other) {
        rank += c.labels[other] < c.labels[row] ||
                (c.labels[other] == c.labels[row] && other < row);
      }
      const auto& list = lists[rank % c.num_models];
      EXPECT_EQ(list[rank / c.num_models], static_cast<int64_t>(row));
    }
  }
}

TEST(StratifiedRouterTest, RandomIsBalancedAndDecidedByTheSeed) {
  for (const Case& c : RandomCases()) {
    const Lists lists = Route(c.num_models, "random", c.labels, {}, 11);
    ExpectPartition(lists, c);
    ExpectBalanced(lists, c.labels);
    EXPECT_EQ(lists, Route(c.num_models, "random", c.labels, {}, 11));
  }
  const Labels one_class(40, 3);
  EXPECT_NE(Route(2, "random", one_class, {}, 1),
            Route(2, "random", one_class, {}, 2));
  EXPECT_NE(Route(2, "random", one_class), Route(2, "round_robin", one_class));
}

// Over many seeds a row comes to each model equally often, and which model it
// comes to says nothing about a row of another class of the same size.
TEST(StratifiedRouterTest, RandomIsUniform) {
  Labels labels;
  for (int64_t row = 0; row < 20; ++row) labels.push_back(row / 10);
  const int kSeeds = 4000;
  std::map<int64_t, int> first_model;  // row -> times with model 0
  int together = 0;                    // rows 0 and 10
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Lists lists = Route(2, "random", labels, {}, seed);
    for (int64_t row : lists[0]) ++first_model[row];
    const auto has = [&](int64_t row) {
      return std::count(lists[0].begin(), lists[0].end(), row) > 0;
    };
    together += has(0) == has(10);
  }
  // 5 standard deviations of a binomial: 5 * sqrt(4000 / 4) = 158.
  for (int64_t row = 0; row < 20; ++row) {
    EXPECT_NEAR(first_model[row], kSeeds / 2, 158) << "row " << row;
  }
  EXPECT_NEAR(together, kSeeds / 2, 158);
}

TEST(StratifiedRouterTest, ClassBasedByHand) {
  const Labels labels = {0, 1, 2, 0, 1, 2, 0};
  // Two models: classes 0 and 2, class 1.
  EXPECT_EQ(Route(2, "class_based", labels), (Lists{{0, 3, 6, 2, 5}, {1, 4}}));
  // Five models: class 0 to models 0 and 3, class 1 to 1 and 4, class 2 to 2.
  EXPECT_EQ(Route(5, "class_based", labels),
            (Lists{{0, 6}, {1}, {2, 5}, {3}, {4}}));
  // A fourth class without rows takes model 3, and model 4 shares class 0.
  EXPECT_EQ(Route(5, "class_based", labels, 4),
            (Lists{{0, 6}, {1, 4}, {2, 5}, {}, {3}}));
}

TEST(StratifiedRouterTest, ClassBasedIsPure) {
  for (const Case& c : RandomCases()) {
    const Lists lists = Route(c.num_models, "class_based", c.labels);
    ExpectPartition(lists, c);
    const int64_t classes =
        *std::max_element(c.labels.begin(), c.labels.end()) + 1;
    std::map<int64_t, std::pair<size_t, size_t>> sizes;  // class -> least, most
    for (int model = 0; model < c.num_models; ++model) {
      for (int64_t row : lists[model]) {
        if (c.num_models <= classes) {
          EXPECT_EQ(c.labels[row] % c.num_models, model);
        } else {
          EXPECT_EQ(c.labels[row], model % classes);
        }
      }
      if (c.num_models > classes) {
        auto& [least, most] =
            sizes.insert({model % classes, {~size_t{0}, 0}}).first->second;
        least = std::min(least, lists[model].size());
        most = std::max(most, lists[model].size());
      }
    }
    for (const auto& [label, size] : sizes) {
      EXPECT_LE(size.second - size.first, 1u) << "class " << label;
    }
  }
}

// Memory is that of the rows, not of the classes.
TEST(StratifiedRouterTest, HugeLabels) {
  const Labels labels = {int64_t{1} << 62, 5, int64_t{1} << 62};
  EXPECT_EQ(Route(2, "round_robin", labels), (Lists{{1, 2}, {0}}));
  EXPECT_EQ(Route(2, "class_based", labels), (Lists{{0, 2}, {1}}));
}

TEST(StratifiedRouterTest, Refuses) {
  const auto message = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(message(StratifiedRouter::Create(0, "random").status()),
            "num_models is 0, expected at least 1");
  EXPECT_EQ(message(StratifiedRouter::Create(2, "balanced").status()),
            "strategy is \"balanced\", expected \"round_robin\", \"random\" or "
            "\"class_based\"");
  const auto router = StratifiedRouter::Create(2, "random");
  const auto refused = [&](const Tensor& labels,
                           std::optional<int64_t> num_classes = {}) {
    return message(
        router->CreateStratifiedIndices(labels, num_classes).status());
  };
  EXPECT_EQ(refused(ToTensor({0, -1})),
            "the label of row 1 is -1, expected 0 to 9223372036854775806");
  EXPECT_EQ(refused(ToTensor({0, 1, 3}), 3),
            "the label of row 2 is 3, expected 0 to 2");
  EXPECT_EQ(refused(ToTensor({0}), 0), "num_classes is 0, expected at least 1");
  const std::string expected =
      ", expected int64 [rows] of 1 to 2147483647 rows";
  EXPECT_EQ(refused(ToTensor({})), "the labels are int64 [0]" + expected);
  EXPECT_EQ(refused(Tensor::Zeros(DType::kFloat32, {2})),
            "the labels are float32 [2]" + expected);
  EXPECT_EQ(refused(Tensor::Zeros(DType::kInt64, {2, 1})),
            "the labels are int64 [2, 1]" + expected);
}

}  // namespace
}  // namespace modelbatch
