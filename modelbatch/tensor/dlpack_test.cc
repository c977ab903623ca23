#include "modelbatch/tensor/dlpack.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A managed tensor over `memory` that counts the calls of its deleter.
class Source {
 public:
  Source(void* memory, MB_DLDataType dtype, std::vector<int64_t> shape,
         std::vector<int64_t> strides = {})
      : shape_(std::move(shape)), strides_(std::move(strides)) {
    managed.version = {1, 0};
    managed.manager_ctx = this;
    managed.deleter = [](MB_DLManagedTensor* self) {
      ++static_cast<Source*>(self->manager_ctx)->deleted;
    };
    managed.dl_tensor.data = memory;
    managed.dl_tensor.device = {MB_DL_CPU, 0};
    managed.dl_tensor.ndim = static_cast<int32_t>(shape_.size());
    managed.dl_tensor.dtype = dtype;
    managed.dl_tensor.shape = shape_.data();
    managed.dl_tensor.strides = strides_.empty() ? nullptr : strides_.data();
  }

  MB_DLManagedTensor managed = {};
  int deleted = 0;

 private:
  std::vector<int64_t> shape_;
  std::vector<int64_t> strides_;
};

constexpr MB_DLDataType kFloat32 = {2, 32, 1};  // DLPack: kDLFloat = 2

std::vector<float> Values(const Tensor& tensor) {
  return std::vector<float>(tensor.data<float>(),
                            tensor.data<float>() + tensor.size());
}

TEST(DLPack, EveryDTypeGoesBothWays) {
  const struct {
    DType dtype;
    uint8_t code, bits;  // of dlpack.h: kDLInt = 0, kDLUInt = 1, kDLFloat = 2
  } kCases[] = {{DType::kFloat32, 2, 32},
                {DType::kFloat64, 2, 64},
                {DType::kInt32, 0, 32},
                {DType::kInt64, 0, 64},
                {DType::kUInt8, 1, 8}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(DTypeName(c.dtype));
    MB_DLManagedTensor* managed =
        TensorToDLPack(Tensor::Zeros(c.dtype, {2, 3}));
    EXPECT_EQ(managed->version.major, 1u);
    EXPECT_EQ(managed->dl_tensor.dtype.code, c.code);
    EXPECT_EQ(managed->dl_tensor.dtype.bits, c.bits);
    EXPECT_EQ(managed->dl_tensor.dtype.lanes, 1);
    EXPECT_EQ(managed->dl_tensor.device.device_type, 1);  // kDLCPU
    const auto tensor = TensorFromDLPack(managed, "t");
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->dtype(), c.dtype);
    EXPECT_THAT(tensor->shape(), ElementsAre(2, 3));
  }
}

TEST(DLPack, CompactMemoryIsSharedUntilTheLastTensorIsGone) {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  Source source(memory, kFloat32, {2, 3}, {3, 1});
  {
    auto tensor = TensorFromDLPack(&source.managed, "t");
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->raw(), memory);
    const Tensor shared = tensor->Borrow();
    *tensor = Tensor();
    EXPECT_EQ(source.deleted, 0);
  }
  EXPECT_EQ(source.deleted, 1);
}

TEST(DLPack, ExportedMemoryIsSharedUntilItsDeleterIsCalled) {
  Tensor tensor = Tensor::FromVector<float>({1, 2}, {2});
  const std::weak_ptr<void> memory = tensor.owner();
  const void* const data = tensor.raw();
  MB_DLManagedTensor* managed = TensorToDLPack(std::move(tensor));
  EXPECT_EQ(managed->dl_tensor.data, data);
  EXPECT_FALSE(memory.expired());
  managed->deleter(managed);
  EXPECT_TRUE(memory.expired());
}

TEST(DLPack, StridedMemoryIsCopiedAndLetGoAtOnce) {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  Source source(memory, kFloat32, {3, 2}, {1, 3});  // the transpose
  const auto tensor = TensorFromDLPack(&source.managed, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(source.deleted, 1);
  EXPECT_THAT(Values(*tensor), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(DLPack, NegativeAndZeroStridesAreCopied) {
  float memory[3] = {7, 8, 9};
  Source reversed(memory + 2, kFloat32, {3}, {-1});
  const auto tensor = TensorFromDLPack(&reversed.managed, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(Values(*tensor), ElementsAre(9, 8, 7));

  Source expanded(memory, kFloat32, {2, 2}, {0, 1});
  const auto rows = TensorFromDLPack(&expanded.managed, "t");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(Values(*rows), ElementsAre(7, 8, 7, 8));
}

TEST(DLPack, StridesAlongOneElementDoNotMatter) {
  float memory[3] = {7, 8, 9};
  Source source(memory, kFloat32, {3, 1}, {1, 77});
  const auto tensor = TensorFromDLPack(&source.managed, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->raw(), memory);
}

TEST(DLPack, ByteOffsetIsAdded) {
  float memory[3] = {7, 8, 9};
  Source source(memory, kFloat32, {2});
  source.managed.dl_tensor.byte_offset = 4;
  const auto tensor = TensorFromDLPack(&source.managed, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(Values(*tensor), ElementsAre(8, 9));
}

TEST(DLPack, UnalignedMemoryIsCopied) {
  alignas(8) char memory[12] = {};
  const float value = 2.5f;
  std::memcpy(memory + 1, &value, sizeof(value));
  Source source(memory, kFloat32, {1});
  source.managed.dl_tensor.byte_offset = 1;
  const auto tensor = TensorFromDLPack(&source.managed, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(source.deleted, 1);
  EXPECT_THAT(Values(*tensor), ElementsAre(2.5f));
}

TEST(DLPack, ScalarsAndEmptyTensors) {
  float value = 3;
  Source scalar(&value, kFloat32, {});
  scalar.managed.dl_tensor.shape = nullptr;
  const auto one = TensorFromDLPack(&scalar.managed, "t");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->size(), 1);

  Source empty(nullptr, kFloat32, {0, 4});
  const auto none = TensorFromDLPack(&empty.managed, "t");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->shape(), ElementsAre(0, 4));
}

TEST(DLPack, ANullDeleterIsAllowed) {
  float memory[1] = {3};
  Source source(memory, kFloat32, {1});
  source.managed.deleter = nullptr;
  EXPECT_TRUE(TensorFromDLPack(&source.managed, "t").ok());
}

// What is refused, with a part of the message. The deleter is called once.
struct Refusal {
  const char* name;
  void (*change)(MB_DLManagedTensor* managed);
  const char* message;
};

class DLPackRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(DLPackRefuses, AndLetsGoOfTheTensor) {
  float memory[6] = {};
  Source source(memory, kFloat32, {2, 3});
  GetParam().change(&source.managed);
  const auto tensor = TensorFromDLPack(&source.managed, "features");
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tensor.status().message()),
              testing::AllOf(testing::StartsWith("features"),
                             HasSubstr(GetParam().message)));
  EXPECT_EQ(source.deleted, 1);
}

INSTANTIATE_TEST_SUITE_P(
    All, DLPackRefuses,
    testing::Values(
        Refusal{"Device",
                [](MB_DLManagedTensor* m) {
                  m->dl_tensor.device.device_type = MB_DL_CUDA;
                },
                "device type 2"},
        Refusal{"Version", [](MB_DLManagedTensor* m) { m->version.major = 2; },
                "version 2.0"},
        Refusal{"HalfPrecision",
                [](MB_DLManagedTensor* m) { m->dl_tensor.dtype.bits = 16; },
                "16 bits"},
        Refusal{"BFloat",
                [](MB_DLManagedTensor* m) {
                  m->dl_tensor.dtype.code = MB_DL_BFLOAT;
                },
                "code 4"},
        Refusal{"Lanes",
                [](MB_DLManagedTensor* m) { m->dl_tensor.dtype.lanes = 4; },
                "4 lanes"},
        Refusal{"NullData",
                [](MB_DLManagedTensor* m) { m->dl_tensor.data = nullptr; },
                "data is NULL"},
        Refusal{"NullShape",
                [](MB_DLManagedTensor* m) { m->dl_tensor.shape = nullptr; },
                "shape is NULL"},
        Refusal{"NegativeRank",
                [](MB_DLManagedTensor* m) { m->dl_tensor.ndim = -1; },
                "ndim is -1"},
        Refusal{"NegativeSize",
                [](MB_DLManagedTensor* m) { m->dl_tensor.shape[1] = -3; },
                "[2, -3]"},
        Refusal{"TooManyBytes",
                [](MB_DLManagedTensor* m) {
                  m->dl_tensor.shape[0] = int64_t{1} << 40;
                  m->dl_tensor.shape[1] = int64_t{1} << 40;
                },
                "more bytes"}),
    [](const auto& info) { return info.param.name; });

TEST(DLPack, NullIsRefused) {
  EXPECT_EQ(TensorFromDLPack(nullptr, "features").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(DLPack, BorrowedMemoryMustBeCompact) {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  Source source(memory, kFloat32, {3, 2}, {1, 3});
  const auto refused = BorrowDLTensor(source.managed.dl_tensor, "model 2");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("model 2"));

  source.managed.dl_tensor.strides = nullptr;
  const auto tensor = BorrowDLTensor(source.managed.dl_tensor, "model 2");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->raw(), memory);
  EXPECT_EQ(source.deleted, 0);
}

TEST(DLPack, AViewPointsIntoTheTensor) {
  const Tensor tensor = Tensor::FromVector<int64_t>({1, 2, 3, 4}, {2, 2});
  const MB_DLTensor view = ViewAsDLTensor(tensor);
  EXPECT_EQ(view.data, tensor.raw());
  EXPECT_EQ(view.ndim, 2);
  EXPECT_EQ(view.shape[1], 2);
  EXPECT_EQ(view.dtype.bits, 64);
}

}  // namespace
}  // namespace modelbatch
