#include "modelbatch/routing/random_masks.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

std::vector<int> Values(const Tensor& mask) {
  const uint8_t* values = mask.data<uint8_t>();
  return {values, values + mask.size()};
}

int Count(const Tensor& mask) {
  const std::vector<int> values = Values(mask);
  return std::accumulate(values.begin(), values.end(), 0);
}

TEST(RandomMasksTest, HaveExactlyTheirShareOfRows) {
  struct Case {
    int64_t batch_size;
    double ratio;
    int rows;
  };
  for (const Case& c :
       {Case{10, 0.8, 8}, Case{7, 0.5, 4}, Case{3, 0.5, 2}, Case{100, 0.004, 1},
        Case{1, 0.1, 1}, Case{5, 1, 5}, Case{1000, 0.333, 333}}) {
    const auto masks = CreateRandomMasks(c.batch_size, 3, c.ratio, 9);
    ASSERT_TRUE(masks.ok()) << masks.status();
    ASSERT_EQ(masks->size(), 3u);
    for (const Tensor& mask : *masks) {
      EXPECT_EQ(mask.dtype(), DType::kUInt8);
      EXPECT_EQ(mask.shape(), Shape{c.batch_size});
      EXPECT_EQ(Count(mask), c.rows);
    }
  }
  EXPECT_EQ(Count(CreateRandomMasks(50, 1)->front()), 40);  // 0.8 by default
}

TEST(RandomMasksTest, AModelsMaskDoesNotDependOnTheOthers) {
  const auto few = CreateRandomMasks(64, 3, 0.5, 4);
  const auto many = CreateRandomMasks(64, 100, 0.5, 4);
  for (int model = 0; model < 3; ++model) {
    const auto alone = CreateRandomMask(64, model, 0.5, 4);
    EXPECT_EQ(Values((*few)[model]), Values((*many)[model]));
    EXPECT_EQ(Values((*few)[model]), Values(*alone));
  }
  EXPECT_NE(Values((*few)[0]), Values((*few)[1]));
  EXPECT_NE(Values((*few)[0]), Values(CreateRandomMask(64, 0, 0.5, 5).value()));
}

// Each row, and each pair of rows, is chosen as often as in a uniform subset.
TEST(RandomMasksTest, AreUniform) {
  const int kModels = 20000;
  const auto masks = CreateRandomMasks(5, kModels, 0.4, 1);
  ASSERT_TRUE(masks.ok()) << masks.status();
  std::vector<std::vector<int>> pairs(5, std::vector<int>(5));
  for (const Tensor& mask : *masks) {
    const std::vector<int> values = Values(mask);
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 5; ++j) pairs[i][j] += values[i] * values[j];
    }
  }
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 5; ++j) {
      // Two of five: a row with 2/5, a pair with 2/5 * 1/4.
      const double p = i == j ? 0.4 : 0.1;
      EXPECT_NEAR(pairs[i][j], p * kModels,
                  5 * std::sqrt(p * (1 - p) * kModels));
    }
  }
}

TEST(RandomMasksTest, Refuse) {
  const auto message = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(message(CreateRandomMasks(0, 1).status()),
            "batch_size is 0, expected 1 to 2147483647");
  EXPECT_EQ(message(CreateRandomMasks(int64_t{1} << 31, 1).status()),
            "batch_size is 2147483648, expected 1 to 2147483647");
  EXPECT_EQ(message(CreateRandomMasks(4, 0).status()),
            "num_models is 0, expected at least 1");
  EXPECT_EQ(message(CreateRandomMask(4, -1).status()),
            "model is -1, expected at least 0");
  for (double ratio : {0.0, -0.5, 1.5, std::nan("")}) {
    EXPECT_NE(message(CreateRandomMasks(4, 1, ratio).status())
                  .find("expected a number in (0, 1]"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace modelbatch
