#include "modelbatch/tensor/tensor.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;

TEST(Tensor, SizesAndNamesOfDTypes) {
  EXPECT_EQ(DTypeSize(DType::kFloat32), 4u);
  EXPECT_EQ(DTypeSize(DType::kFloat64), 8u);
  EXPECT_EQ(DTypeSize(DType::kInt32), 4u);
  EXPECT_EQ(DTypeSize(DType::kInt64), 8u);
  EXPECT_EQ(DTypeSize(DType::kUInt8), 1u);
  EXPECT_STREQ(DTypeName(DType::kFloat32), "float32");
  EXPECT_STREQ(DTypeName(DType::kUInt8), "uint8");
}

TEST(Tensor, NumElements) {
  EXPECT_EQ(NumElements({}), 1);  // a scalar
  EXPECT_EQ(NumElements({0}), 0);
  EXPECT_EQ(NumElements({3, 4, 5}), 60);
  EXPECT_EQ(ShapeToString({64, 10}), "[64, 10]");
  EXPECT_EQ(ShapeToString({}), "[]");
}

TEST(Tensor, DefaultIsEmpty) {
  const Tensor tensor;
  EXPECT_EQ(tensor.dtype(), DType::kFloat32);
  EXPECT_THAT(tensor.shape(), ElementsAre(0));
  EXPECT_EQ(tensor.size(), 0);
}

TEST(Tensor, ZerosAreZeroAndAligned) {
  const Tensor tensor = Tensor::Zeros(DType::kFloat32, {7, 3});
  ASSERT_EQ(tensor.byte_size(), 84u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    EXPECT_EQ(tensor.data<float>()[i], 0.0f);
  }
}

TEST(Tensor, ZeroSizesAndScalars) {
  EXPECT_EQ(Tensor::Zeros(DType::kInt64, {0, 5}).size(), 0);
  const Tensor scalar = Tensor::FromVector<int64_t>({41}, {});
  EXPECT_EQ(scalar.size(), 1);
  EXPECT_EQ(scalar.data<int64_t>()[0], 41);
}

TEST(Tensor, CloneCopiesAndBorrowShares) {
  Tensor tensor = Tensor::FromVector<int32_t>({1, 2, 3}, {3});
  const Tensor clone = tensor.Clone();
  const Tensor shared = tensor.Borrow();
  tensor.data<int32_t>()[0] = 9;
  EXPECT_EQ(clone.data<int32_t>()[0], 1);
  EXPECT_EQ(shared.data<int32_t>()[0], 9);
}

TEST(Tensor, BorrowKeepsTheMemory) {
  int deleted = 0;
  float memory[2] = {1, 2};
  auto tensor = std::make_unique<Tensor>(Tensor::Wrap(
      std::shared_ptr<void>(memory, [&deleted](void*) { ++deleted; }), memory,
      DType::kFloat32, {2}));
  Tensor shared = tensor->Borrow();
  tensor.reset();
  EXPECT_EQ(deleted, 0);
  EXPECT_EQ(shared.data<float>()[1], 2.0f);
  shared = Tensor();
  EXPECT_EQ(deleted, 1);
}

TEST(TensorDeathTest, AnotherTypeThanTheDTypeIsABug) {
  const Tensor tensor = Tensor::Zeros(DType::kFloat32, {1});
  EXPECT_DEATH(tensor.data<int32_t>(), "another dtype");
}

TEST(TensorDeathTest, AVectorOfAnotherSizeThanTheShapeIsABug) {
  EXPECT_DEATH(Tensor::FromVector<float>({1, 2}, {3}), "size does not match");
}

}  // namespace
}  // namespace modelbatch
