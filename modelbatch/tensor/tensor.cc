#include "modelbatch/tensor/tensor.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {
namespace {

// A whole cache line, and enough for every vector width.
constexpr size_t kAlignment = 64;

// A bug of the caller's ends the process: Abseil's own check is private to it.
void Check(bool condition, const char* message) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", message);
  std::abort();
}

}  // namespace

size_t DTypeSize(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kUInt8:
      return 1;
  }
  return 0;
}

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kUInt8:
      return "uint8";
  }
  return "unknown";
}

int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

std::string ShapeToString(const Shape& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

Tensor Tensor::Zeros(DType dtype, Shape shape) {
  const size_t bytes = NumElements(shape) * DTypeSize(dtype);
  const size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  void* data = std::aligned_alloc(kAlignment, rounded);
  if (data == nullptr) throw std::bad_alloc();  // as operator new does
  std::memset(data, 0, rounded);
  return Wrap(std::shared_ptr<void>(data, std::free), data, dtype,
              std::move(shape));
}

Tensor Tensor::Wrap(std::shared_ptr<void> owner, void* data, DType dtype,
                    Shape shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.owner_ = std::move(owner);
  tensor.data_ = data;
  return tensor;
}

bool Tensor::IsZero() const {
  const auto* const begin = static_cast<const char*>(data_);
  return std::all_of(begin, begin + byte_size(),
                     [](char byte) { return byte == 0; });
}

Tensor Tensor::Clone() const {
  Tensor copy = Zeros(dtype_, shape_);
  copy.CopyFrom(data_, byte_size());
  return copy;
}

Tensor Tensor::Borrow() const { return Wrap(owner_, data_, dtype_, shape_); }

void Tensor::CheckType(DType wanted) const {
  Check(dtype_ == wanted, "Tensor::data<T>() with another dtype");
}

void Tensor::CopyFrom(const void* bytes, size_t size) {
  Check(size == byte_size(), "Tensor: size does not match the shape");
  if (size > 0) std::memcpy(data_, bytes, size);
}

}  // namespace modelbatch
