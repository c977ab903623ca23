// Every model gets exactly the rows it was routed, in the promised order, and
// padding never passes for rows.
#include "modelbatch/routing/data_router.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "modelbatch/routing/random_masks.h"
#include "modelbatch/routing/routed_rows.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

using Rows = std::vector<int32_t>;

DataRouter Router(const std::string& mode, int num_models) {
  return DataRouter::Create(mode, num_models).value();
}

template <typename T>
Tensor Vector(const std::vector<T>& values) {
  return Tensor::FromVector<T>(values, {static_cast<int64_t>(values.size())});
}

template <typename T>
std::vector<Tensor> Tensors(const std::vector<std::vector<T>>& lists) {
  std::vector<Tensor> tensors;
  for (const std::vector<T>& list : lists) tensors.push_back(Vector(list));
  return tensors;
}

Rows RowsOfModel(const RoutedRows& routed, int model) {
  const absl::Span<const int32_t> rows = routed.of(model);
  return {rows.begin(), rows.end()};
}

template <typename T>
void ExpectError(const T& result, const std::string& message) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(result.status().message(), message);
}

const Rows kBatch = {70, 50, 60, 50};

TEST(DataRouterTest, PassthroughGivesAllModelsTheBatch) {
  const auto routed = Router("passthrough", 3).RouteBatch(kBatch);
  ASSERT_TRUE(routed.ok()) << routed.status();
  EXPECT_TRUE(routed->shared());
  EXPECT_EQ(routed->rows, kBatch);
  EXPECT_TRUE(routed->view().offsets.empty());
  for (int model = 0; model < 3; ++model) {
    EXPECT_EQ(RowsOfModel(*routed, model), kBatch);
  }
}

TEST(DataRouterTest, MaskSelectsRowsInTheBatchsOrder) {
  const auto masks =
      Tensors<uint8_t>({{1, 0, 0, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}});
  const auto routed = Router("mask", 3).RouteBatch(kBatch, masks);
  ASSERT_TRUE(routed.ok()) << routed.status();
  EXPECT_FALSE(routed->shared());
  EXPECT_EQ(RowsOfModel(*routed, 0), (Rows{70, 50}));
  EXPECT_EQ(RowsOfModel(*routed, 1), Rows());
  EXPECT_EQ(RowsOfModel(*routed, 2), kBatch);
  EXPECT_EQ(routed->offsets, (std::vector<int64_t>{0, 2, 2, 6}));
}

TEST(DataRouterTest, IndicesKeepTheirOrderAndMayRepeat) {
  std::vector<Tensor> indices;
  indices.push_back(Vector<int64_t>({2, 0, 2}));
  indices.push_back(Vector<int32_t>({}));
  indices.push_back(Vector<int32_t>({3}));
  const auto routed = Router("indices", 3).RouteBatch(kBatch, {}, indices);
  ASSERT_TRUE(routed.ok()) << routed.status();
  EXPECT_EQ(RowsOfModel(*routed, 0), (Rows{60, 70, 60}));
  EXPECT_EQ(RowsOfModel(*routed, 1), Rows());
  EXPECT_EQ(RowsOfModel(*routed, 2), Rows{50});
}

TEST(DataRouterTest, AnEmptyBatch) {
  EXPECT_TRUE(Router("passthrough", 1).RouteBatch({})->rows.empty());
  const auto masks = Tensors<uint8_t>({{}});
  EXPECT_EQ(Router("mask", 1).RouteBatch({}, masks)->offsets,
            (std::vector<int64_t>{0, 0}));
  const auto indices = Tensors<int64_t>({{0}});
  ExpectError(Router("indices", 1).RouteBatch({}, {}, indices),
              "the indices of model 0 have 0 at position 0, expected none: "
              "there are no rows to choose from");
}

TEST(DataRouterTest, PaddedRowsComeWithCounts) {
  // Row r of the batch is {10 r, 10 r + 1}; no row is zero but in padding.
  const Tensor batch =
      Tensor::FromVector<float>({10, 11, 20, 21, 30, 31}, {3, 1, 2});
  const auto indices = Tensors<int64_t>({{2}, {}, {1, 1, 0}});
  const auto padded = Router("indices", 3).RoutePadded(batch, {}, indices);
  ASSERT_TRUE(padded.ok()) << padded.status();
  EXPECT_FALSE(padded->shared);
  EXPECT_EQ(padded->row_counts, (std::vector<int64_t>{1, 0, 3}));
  EXPECT_EQ(padded->values.shape(), (Shape{3, 3, 1, 2}));
  const float* values = padded->values.data<float>();
  EXPECT_EQ(std::vector<float>(values, values + 18),
            (std::vector<float>{30, 31, 0, 0, 0, 0,  //
                                0, 0, 0, 0, 0, 0,    //
                                20, 21, 20, 21, 10, 11}));
}

TEST(DataRouterTest, PaddedKeepsTheTypeOfTheBatch) {
  const Tensor labels = Vector<int64_t>({7, 8});
  const auto masks = Tensors<uint8_t>({{0, 1}, {1, 1}});
  const auto padded = Router("mask", 2).RoutePadded(labels, masks);
  ASSERT_TRUE(padded.ok()) << padded.status();
  EXPECT_EQ(padded->row_counts, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(padded->values.shape(), (Shape{2, 2}));
  const int64_t* values = padded->values.data<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(values, values + 4),
            (std::vector<int64_t>{8, 0, 7, 8}));
}

// A batch of as many rows as there are models is still the batch of all.
TEST(DataRouterTest, PaddedPassthroughIsTheBatchItself) {
  const Tensor batch = Tensor::FromVector<float>({1, 2, 3, 4}, {2, 2});
  const auto padded = Router("passthrough", 2).RoutePadded(batch);
  ASSERT_TRUE(padded.ok()) << padded.status();
  EXPECT_TRUE(padded->shared);
  EXPECT_TRUE(padded->row_counts.empty());
  EXPECT_EQ(padded->values.raw(), batch.raw());
  EXPECT_EQ(padded->values.shape(), batch.shape());
}

TEST(DataRouterTest, PadRowsOfADataSet) {
  const Tensor values = Vector<float>({5, 6, 7});
  const auto shared = PadRows(values, RoutedRows{{2, 0}, {}}, 2);
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ(shared->row_counts, (std::vector<int64_t>{2, 2}));
  const float* data = shared->values.data<float>();
  EXPECT_EQ(std::vector<float>(data, data + 4),
            (std::vector<float>{7, 5, 7, 5}));
  ExpectError(PadRows(values, RoutedRows{{0, 3}, {0, 1, 2}}, 2),
              "model 1 has row 3 at position 0, expected 0 to 2");
  ExpectError(PadRows(values, RoutedRows{{0}, {0, 1}}, 2),
              "rows of 1 models for 2 models");
  ExpectError(PadRows(Tensor::Zeros(DType::kFloat32, {}), {{}, {}}, 1),
              "the values are a scalar, expected [rows, ...]");
}

TEST(DataRouterTest, RoutesRandomMasks) {
  Rows batch;
  for (int32_t row = 0; row < 40; ++row) batch.push_back(1000 + row);
  const auto masks = CreateRandomMasks(40, 5, 0.3);
  ASSERT_TRUE(masks.ok()) << masks.status();
  const auto routed = Router("mask", 5).RouteBatch(batch, *masks);
  ASSERT_TRUE(routed.ok()) << routed.status();
  for (int model = 0; model < 5; ++model) {
    const Rows rows = RowsOfModel(*routed, model);
    EXPECT_EQ(rows.size(), 12u);
    for (int32_t row : rows) {
      EXPECT_EQ((*masks)[model].data<uint8_t>()[row - 1000], 1);
    }
  }
}

TEST(DataRouterTest, RefusesAModeOrNumberThatDoesNotExist) {
  ExpectError(DataRouter::Create("masks", 2),
              "mode is \"masks\", expected \"passthrough\", \"mask\" or "
              "\"indices\"");
  ExpectError(DataRouter::Create("mask", 0),
              "num_models is 0, expected at least 1");
}

TEST(DataRouterTest, RefusesTheOtherModesArguments) {
  const auto masks = Tensors<uint8_t>({{1, 1, 1, 1}});
  const auto indices = Tensors<int64_t>({{0}});
  ExpectError(Router("passthrough", 1).RouteBatch(kBatch, masks),
              "found 1 masks, expected none: the router's mode is "
              "\"passthrough\"");
  ExpectError(Router("passthrough", 1).RouteBatch(kBatch, {}, indices),
              "found 1 index lists, expected none: the router's mode is "
              "\"passthrough\"");
  ExpectError(Router("indices", 1).RouteBatch(kBatch, masks),
              "found 1 masks, expected none: the router's mode is "
              "\"indices\"");
  ExpectError(Router("mask", 1).RouteBatch(kBatch, masks, indices),
              "found 1 index lists, expected none: the router's mode is "
              "\"mask\"");
  ExpectError(Router("mask", 2).RouteBatch(kBatch, masks),
              "found 1 masks for 2 models, expected one a model");
  ExpectError(Router("indices", 2).RouteBatch(kBatch),
              "found 0 index lists for 2 models, expected one a model");
}

TEST(DataRouterTest, RefusesMasksThatDoNotFit) {
  const auto route = [](Tensor mask) {
    std::vector<Tensor> masks = Tensors<uint8_t>({{1, 1, 1, 1}});
    masks.push_back(std::move(mask));
    return Router("mask", 2).RouteBatch(kBatch, masks);
  };
  ExpectError(route(Vector<uint8_t>({1, 1, 1})),
              "the mask of model 1 is uint8 [3], expected uint8 [4], one value "
              "a row of the batch");
  ExpectError(route(Vector<float>({1, 1, 1, 0})),
              "the mask of model 1 is float32 [4], expected uint8 [4], one "
              "value a row of the batch");
  ExpectError(route(Tensor::Zeros(DType::kUInt8, {4, 1})),
              "the mask of model 1 is uint8 [4, 1], expected uint8 [4], one "
              "value a row of the batch");
  ExpectError(route(Vector<uint8_t>({1, 0, 255, 0})),
              "the mask of model 1 is 255 at position 2, expected 0 or 1");
}

TEST(DataRouterTest, RefusesIndicesThatDoNotFit) {
  const auto route = [](Tensor list) {
    std::vector<Tensor> indices = Tensors<int64_t>({{0}});
    indices.push_back(std::move(list));
    return Router("indices", 2).RouteBatch(kBatch, {}, indices);
  };
  ExpectError(route(Vector<int64_t>({0, 4})),
              "the indices of model 1 have 4 at position 1, expected 0 to 3");
  ExpectError(route(Vector<int32_t>({-1})),
              "the indices of model 1 have -1 at position 0, expected 0 to 3");
  // 2^32: 0 where it were cut to 32 bits.
  ExpectError(route(Vector<int64_t>({int64_t{1} << 32})),
              "the indices of model 1 have 4294967296 at position 0, expected "
              "0 to 3");
  ExpectError(route(Vector<float>({0})),
              "the indices of model 1 are float32 [1], expected int32 or int64 "
              "of one dimension");
  ExpectError(route(Tensor::Zeros(DType::kInt64, {1, 1})),
              "the indices of model 1 are int64 [1, 1], expected int32 or "
              "int64 of one dimension");
}

TEST(DataRouterTest, RefusesABatchThatIsNone) {
  ExpectError(Router("passthrough", 1).RouteBatch(Rows{3, -2}),
              "the batch has row -2 at position 1, expected at least 0");
  ExpectError(
      Router("passthrough", 1).RoutePadded(Tensor::Zeros(DType::kInt64, {})),
      "the batch has shape [], expected [batch, ...] of at most 2147483647 "
      "rows");
}

}  // namespace
}  // namespace modelbatch
