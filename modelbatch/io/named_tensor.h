// What a writer of tensor files is given.
#ifndef MODELBATCH_IO_NAMED_TENSOR_H_
#define MODELBATCH_IO_NAMED_TENSOR_H_

#include <string>

#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct NamedTensor {
  std::string name;
  const Tensor* tensor;
};

}  // namespace modelbatch

#endif  // MODELBATCH_IO_NAMED_TENSOR_H_
