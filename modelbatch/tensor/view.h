// Other shapes of a tensor's memory, which they share.
//
//   View(rows, {models, batch, width})
//   Entry(stacked, 3)  // stacked[3]
#ifndef MODELBATCH_TENSOR_VIEW_H_
#define MODELBATCH_TENSOR_VIEW_H_

#include <cstdint>

#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// The same elements; NumElements(shape) must be tensor.size().
Tensor View(const Tensor& tensor, Shape shape);

// Entry `index` of the first dimension, which must be there.
Tensor Entry(const Tensor& tensor, int64_t index);

}  // namespace modelbatch

#endif  // MODELBATCH_TENSOR_VIEW_H_
