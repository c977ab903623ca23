#include "modelbatch/tensor/dlpack.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int32_t kMaxRank = 32;
constexpr uint32_t kDLPackMajor = 1;

// The reason comes after the tensor's name.
template <typename... Args>
absl::Status Refuse(std::string_view name, const Args&... args) {
  return absl::InvalidArgumentError(
      absl::StrCat(absl::string_view(name.data(), name.size()), ": ", args...));
}

}  // namespace

MB_DLDataType ToDLDataType(DType dtype) {
  const uint8_t bits = static_cast<uint8_t>(8 * DTypeSize(dtype));
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat64:
      return {MB_DL_FLOAT, bits, 1};
    case DType::kInt32:
    case DType::kInt64:
      return {MB_DL_INT, bits, 1};
    case DType::kUInt8:
      return {MB_DL_UINT, bits, 1};
  }
  return {0, 0, 0};
}

absl::StatusOr<DType> ToDType(const MB_DLDataType& type,
                              std::string_view name) {
  if (type.lanes != 1) {
    return Refuse(name, "dtype has ", type.lanes, " lanes, expected 1");
  }
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32,
                      DType::kInt64, DType::kUInt8}) {
    const MB_DLDataType known = ToDLDataType(dtype);
    if (type.code == known.code && type.bits == known.bits) return dtype;
  }
  return Refuse(name, "dtype has DLPack code ", static_cast<int>(type.code),
                " and ", static_cast<int>(type.bits),
                " bits, expected float32, float64, int32, int64 or uint8");
}

namespace {

// What a DLTensor says, checked.
struct Description {
  DType dtype = DType::kFloat32;
  Shape shape;
  char* data = nullptr;
  const int64_t* strides = nullptr;
  bool direct = false;  // compact, row-major and aligned
};

bool IsCompact(const Shape& shape, const int64_t* strides) {
  if (strides == nullptr) return true;
  int64_t expected = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    // A stride along one element is never used.
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

absl::StatusOr<Description> Describe(const MB_DLTensor& tensor,
                                     std::string_view name) {
  if (tensor.device.device_type != MB_DL_CPU) {
    return Refuse(name, "is on DLPack device type ", tensor.device.device_type,
                  ", expected the CPU's memory (", MB_DL_CPU, ")");
  }
  Description result;
  MB_ASSIGN_OR_RETURN(result.dtype, ToDType(tensor.dtype, name));
  if (tensor.ndim < 0 || tensor.ndim > kMaxRank) {
    return Refuse(name, "ndim is ", tensor.ndim, ", expected 0 to ", kMaxRank);
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) {
    return Refuse(name, "shape is NULL, expected ", tensor.ndim, " sizes");
  }
  result.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  // Sizes of 0 are left out, so that no order of multiplying them overflows.
  int64_t bytes = static_cast<int64_t>(DTypeSize(result.dtype));
  for (int64_t size : result.shape) {
    if (size < 0) {
      return Refuse(name, "shape is ", ShapeToString(result.shape),
                    ", expected no negative size");
    }
    if (size > 0 && __builtin_mul_overflow(bytes, size, &bytes)) {
      return Refuse(name, "shape ", ShapeToString(result.shape),
                    " has more bytes than can be addressed");
    }
  }
  const bool empty = NumElements(result.shape) == 0;
  if (tensor.data == nullptr) {
    if (!empty) {
      return Refuse(name, "data is NULL, expected memory for shape ",
                    ShapeToString(result.shape));
    }
  } else {
    result.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  }
  result.strides = tensor.strides;
  result.direct =
      empty ||
      (IsCompact(result.shape, tensor.strides) &&
       reinterpret_cast<uintptr_t>(result.data) % DTypeSize(result.dtype) == 0);
  return result;
}

Tensor CopyStrided(const Description& source) {
  Tensor copy = Tensor::Zeros(source.dtype, source.shape);
  const size_t size = DTypeSize(source.dtype);
  const int rank = static_cast<int>(source.shape.size());
  char* out = static_cast<char*>(copy.raw());
  if (source.strides == nullptr) {
    std::memcpy(out, source.data, copy.byte_size());
    return copy;
  }
  Shape index(rank, 0);
  int64_t offset = 0;  // in elements
  for (int64_t i = 0, n = copy.size(); i < n; ++i, out += size) {
    std::memcpy(out, source.data + offset * static_cast<int64_t>(size), size);
    for (int d = rank - 1; d >= 0; --d) {
      offset += source.strides[d];
      if (++index[d] < source.shape[d]) break;
      offset -= source.strides[d] * source.shape[d];
      index[d] = 0;
    }
  }
  return copy;
}

// What TensorToDLPack gives away, in one piece.
struct Exported {
  explicit Exported(Tensor source) : tensor(std::move(source)) {
    managed.version = {kDLPackMajor, 0};
    managed.manager_ctx = this;
    managed.deleter = [](MB_DLManagedTensor* self) {
      delete static_cast<Exported*>(self->manager_ctx);
    };
    managed.dl_tensor = ViewAsDLTensor(tensor);
  }

  Tensor tensor;
  MB_DLManagedTensor managed = {};
};

}  // namespace

absl::StatusOr<Tensor> TensorFromDLPack(MB_DLManagedTensor* managed,
                                        std::string_view name) {
  if (managed == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(name), " is NULL, expected a tensor"));
  }
  // From here on every way out lets go of `managed`.
  std::shared_ptr<void> owner(managed, [](MB_DLManagedTensor* tensor) {
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  });
  if (managed->version.major != kDLPackMajor) {
    return Refuse(name, "has DLPack version ", managed->version.major, ".",
                  managed->version.minor, ", expected ", kDLPackMajor, ".x");
  }
  MB_ASSIGN_OR_RETURN(Description description,
                      Describe(managed->dl_tensor, name));
  if (!description.direct) return CopyStrided(description);
  return Tensor::Wrap(std::move(owner), description.data, description.dtype,
                      std::move(description.shape));
}

absl::StatusOr<Tensor> BorrowDLTensor(const MB_DLTensor& tensor,
                                      std::string_view name) {
  MB_ASSIGN_OR_RETURN(Description description, Describe(tensor, name));
  if (!description.direct) {
    return Refuse(name, "expected compact, row-major and aligned memory");
  }
  return Tensor::Wrap(nullptr, description.data, description.dtype,
                      std::move(description.shape));
}

MB_DLManagedTensor* TensorToDLPack(Tensor tensor) {
  return &(new Exported(std::move(tensor)))->managed;
}

MB_DLTensor ViewAsDLTensor(const Tensor& tensor) {
  MB_DLTensor view = {};
  // DLPack has no const; nothing is written through it unless the call says so.
  view.data = const_cast<void*>(tensor.raw());
  view.device = {MB_DL_CPU, 0};
  view.ndim = static_cast<int32_t>(tensor.shape().size());
  view.dtype = ToDLDataType(tensor.dtype());
  view.shape = const_cast<int64_t*>(tensor.shape().data());
  return view;
}

}  // namespace modelbatch
