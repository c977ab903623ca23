// A dense, row-major host tensor that owns its memory or shares it.
//
//   Tensor weights = Tensor::Zeros(DType::kFloat32, {128, 64});
//   weights.data<float>()[0] = 1;
//
// Move-only: copies are explicit (`Clone`). `Borrow` shares the buffer, which
// lives until the last tensor that shares it is gone.
#ifndef MODELBATCH_TENSOR_TENSOR_H_
#define MODELBATCH_TENSOR_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace modelbatch {

enum class DType { kFloat32, kFloat64, kInt32, kInt64, kUInt8 };

// Bytes of one element.
size_t DTypeSize(DType dtype);
// "float32", "int64", ...
const char* DTypeName(DType dtype);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};

using Shape = std::vector<int64_t>;

// Product of the sizes; 1 for a scalar.
int64_t NumElements(const Shape& shape);
// "[64, 10]"
std::string ShapeToString(const Shape& shape);

class Tensor {
 public:
  Tensor() = default;  // float32, shape [0]
  Tensor(Tensor&&) = default;
  Tensor& operator=(Tensor&&) = default;

  // Sizes must not be negative. Throws std::bad_alloc as any container does.
  static Tensor Zeros(DType dtype, Shape shape);

  // values.size() must be NumElements(shape).
  template <typename T>
  static Tensor FromVector(const std::vector<T>& values, Shape shape) {
    Tensor tensor = Zeros(DTypeOf<T>::value, std::move(shape));
    tensor.CopyFrom(values.data(), values.size() * sizeof(T));
    return tensor;
  }

  // Memory that `owner` keeps alive.
  static Tensor Wrap(std::shared_ptr<void> owner, void* data, DType dtype,
                     Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return NumElements(shape_); }
  size_t byte_size() const { return size() * DTypeSize(dtype_); }

  void* raw() { return data_; }
  const void* raw() const { return data_; }

  // The elements; T must be the dtype's own type (checked).
  template <typename T>
  T* data() {
    CheckType(DTypeOf<T>::value);
    return static_cast<T*>(data_);
  }
  template <typename T>
  const T* data() const {
    CheckType(DTypeOf<T>::value);
    return static_cast<const T*>(data_);
  }

  // Whether every bit is 0.
  bool IsZero() const;

  Tensor Clone() const;
  // A second tensor on the same memory.
  Tensor Borrow() const;
  const std::shared_ptr<void>& owner() const { return owner_; }

 private:
  void CheckType(DType wanted) const;
  void CopyFrom(const void* bytes, size_t size);

  DType dtype_ = DType::kFloat32;
  Shape shape_ = {0};
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TENSOR_TENSOR_H_
