#include "modelbatch/tensor/view.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

TEST(View, HasTheSameElementsInAnotherShape) {
  const Tensor tensor = Tensor::FromVector<int32_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor view = View(tensor, {3, 1, 2});
  EXPECT_EQ(view.shape(), Shape({3, 1, 2}));
  EXPECT_EQ(view.raw(), tensor.raw());
  EXPECT_EQ(view.dtype(), DType::kInt32);
}

TEST(Entry, IsOneOfTheFirstDimension) {
  Tensor entry;
  {
    const Tensor tensor =
        Tensor::FromVector<double>({1, 2, 3, 4, 5, 6}, {3, 2});
    entry = Entry(tensor, 2);
  }  // the entry keeps the memory
  EXPECT_EQ(entry.shape(), Shape({2}));
  EXPECT_EQ(entry.data<double>()[0], 5);
  EXPECT_EQ(entry.data<double>()[1], 6);
  EXPECT_EQ(Entry(entry, 1).shape(), Shape());
  EXPECT_EQ(Entry(entry, 1).data<double>()[0], 6);
}

}  // namespace
}  // namespace modelbatch
