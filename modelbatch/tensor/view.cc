#include "modelbatch/tensor/view.h"

#include <utility>

namespace modelbatch {
namespace {

// `data` lies in the tensor's memory.
Tensor Share(const Tensor& tensor, const void* data, Shape shape) {
  return Tensor::Wrap(tensor.owner(), const_cast<void*>(data), tensor.dtype(),
                      std::move(shape));
}

}  // namespace

Tensor View(const Tensor& tensor, Shape shape) {
  return Share(tensor, tensor.raw(), std::move(shape));
}

Tensor Entry(const Tensor& tensor, int64_t index) {
  Shape shape(tensor.shape().begin() + 1, tensor.shape().end());
  const size_t bytes = NumElements(shape) * DTypeSize(tensor.dtype());
  const char* const data =
      static_cast<const char*>(tensor.raw()) + index * bytes;
  return Share(tensor, data, std::move(shape));
}

}  // namespace modelbatch
