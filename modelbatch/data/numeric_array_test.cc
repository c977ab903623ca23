#include "modelbatch/data/numeric_array.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

template <typename T>
NumericArray Array(const char* name, NumberType type, Shape shape,
                   const std::vector<T>& values) {
  NumericArray array{name, type, std::move(shape), ""};
  array.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) {
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  }
  return array;
}

NumericArray Floats(Shape shape, const std::vector<float>& values) {
  return Array("x", NumberType::kFloat32, std::move(shape), values);
}

NumericArray Labels(const std::vector<uint8_t>& values) {
  return Array("y", NumberType::kUInt8, {static_cast<int64_t>(values.size())},
               values);
}

std::string ErrorOf(const NumericArray& x, const NumericArray& y,
                    bool classes = true, double scale = 1) {
  const auto table = TableFromArrays(x, y, {classes, scale});
  return table.ok() ? "no error" : std::string(table.status().message());
}

std::vector<float> Values(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

TEST(TableFromArraysTest, EveryType) {
  const auto features = [](const NumericArray& x) {
    const auto table = TableFromArrays(x, Labels({0, 1}), {});
    EXPECT_TRUE(table.ok()) << table.status();
    return Values(table->features);
  };
  using F = std::vector<float>;
  EXPECT_EQ(features(Array<int8_t>("x", NumberType::kInt8, {2}, {-128, 127})),
            (F{-128, 127}));
  EXPECT_EQ(
      features(Array<int16_t>("x", NumberType::kInt16, {2}, {-32768, 32767})),
      (F{-32768, 32767}));
  EXPECT_EQ(
      features(Array<int32_t>("x", NumberType::kInt32, {2}, {-5, 1 << 30})),
      (F{-5, 0x1p30f}));
  EXPECT_EQ(features(Array<int64_t>("x", NumberType::kInt64, {2},
                                    {-5, int64_t{1} << 62})),
            (F{-5, 0x1p62f}));
  EXPECT_EQ(features(Array<uint8_t>("x", NumberType::kUInt8, {2}, {0, 255})),
            (F{0, 255}));
  EXPECT_EQ(
      features(Array<uint16_t>("x", NumberType::kUInt16, {2}, {1, 65535})),
      (F{1, 65535}));
  EXPECT_EQ(
      features(Array<uint32_t>("x", NumberType::kUInt32, {2}, {1, 1u << 31})),
      (F{1, 0x1p31f}));
  EXPECT_EQ(features(Array<uint64_t>("x", NumberType::kUInt64, {2},
                                     {1, uint64_t{1} << 63})),
            (F{1, 0x1p63f}));
  EXPECT_EQ(features(Array<uint8_t>("x", NumberType::kBool, {2}, {0, 2})),
            (F{0, 1}));
  EXPECT_EQ(features(Floats({2}, {0.1f, -1e-40f})), (F{0.1f, -1e-40f}));
  EXPECT_EQ(
      features(Array<double>("x", NumberType::kFloat64, {2}, {0.1, 1e300 * 0})),
      (F{0.1f, 0}));
}

TEST(TableFromArraysTest, ShapesAndPlaces) {
  const auto images = TableFromArrays(Floats({2, 1, 2}, {1, 2, 3, 4}),
                                      Labels({0, 4}), {true, 0.5});
  ASSERT_TRUE(images.ok()) << images.status();
  EXPECT_EQ(images->features.shape(), (Shape{2, 1, 2}));
  EXPECT_EQ(Values(images->features), (std::vector<float>{0.5, 1, 1.5, 2}));
  EXPECT_EQ(images->targets.shape(), (Shape{2}));
  EXPECT_EQ(images->num_classes, 5);
  EXPECT_EQ(images->where(1), "y: row 1");
  EXPECT_EQ(CheckClasses(*images, 3).message(),
            "y: row 1: label 4 is out of range, expected 0 to 2: the model has "
            "3 outputs");
  const auto numbers = TableFromArrays(
      Floats({2}, {1, 2}), Floats({2, 2}, {1, 2, 3, 4}), {false, 3});
  ASSERT_TRUE(numbers.ok()) << numbers.status();
  EXPECT_EQ(numbers->features.shape(), (Shape{2, 1}));
  EXPECT_EQ(numbers->targets.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values(numbers->targets), (std::vector<float>{1, 2, 3, 4}));
}

TEST(TableFromArraysTest, ErrorsNameThePlace) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ErrorOf(Floats({2, 2}, {1, 2, 3, nan}), Labels({0, 1})),
            "x: row 1, column 1: nan is not a finite number");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, -INFINITY}), Labels({0, 1})),
            "x: row 1: -inf is not a finite number");
  EXPECT_EQ(ErrorOf(Floats({1, 2, 3}, {1, 2, 3, 4, nan, 6}), Labels({0})),
            "x: row 0, element [1, 1]: nan is not a finite number");
  EXPECT_EQ(ErrorOf(Array<double>("x", NumberType::kFloat64, {1}, {1e300}),
                    Labels({0})),
            "x: row 0: 1e+300 is too large for a float");
  EXPECT_EQ(ErrorOf(Floats({1}, {3e38f}), Labels({0}), true, 10),
            "x: row 0: 3e+38 is too large for a float");
  EXPECT_EQ(ErrorOf(Floats({2, 1}, {1, 2}), Labels({0, 1, 2})),
            "y: has 3 rows, expected 2 as in x");
  EXPECT_EQ(ErrorOf(Floats({}, {1}), Labels({0})),
            "x: is a single number, expected rows of them");
  EXPECT_EQ(ErrorOf(Floats({0, 3}, {}), Labels({0})),
            "x: has the shape [0, 3], expected rows of numbers");
  EXPECT_EQ(ErrorOf(Floats({2, 0}, {}), Labels({0, 0})),
            "x: has the shape [2, 0], expected rows of numbers");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2}, {1, 0.5f})),
            "x: row 1: label 0.5 is not an integer");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2}, {1, nan})),
            "x: row 1: label nan is not an integer");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2}, {-1, 0})),
            "x: row 0: label -1 is out of range, expected 0 to 16777215");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2}, {1, INFINITY})),
            "x: row 1: label inf is out of range, expected 0 to 16777215");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2, 2}, {1, 0, 0, 1})),
            "x: has the shape [2, 2], expected one class index a row");
  EXPECT_EQ(ErrorOf(Floats({2}, {1, 2}), Floats({2, 1, 1}, {1, 0}), false),
            "x: has the shape [2, 1, 1], expected [rows, columns]");
  EXPECT_EQ(ErrorOf(Floats({1}, {1}), Floats({1}, {nan}), false),
            "x: row 0: nan is not a finite number");
}

TEST(CheckedElementsTest, Overflow) {
  EXPECT_EQ(CheckedElements({}).value(), 1);
  EXPECT_EQ(CheckedElements({2, 3}).value(), 6);
  EXPECT_EQ(CheckedElements({int64_t{1} << 60}).value(), int64_t{1} << 60);
  EXPECT_EQ(CheckedElements({int64_t{1} << 40, 0}).value(), 0);
  EXPECT_FALSE(CheckedElements({int64_t{1} << 40, int64_t{1} << 40}).ok());
  EXPECT_FALSE(CheckedElements({0, int64_t{1} << 40, int64_t{1} << 40}).ok());
  EXPECT_FALSE(CheckedElements({-1}).ok());
}

}  // namespace
}  // namespace modelbatch
