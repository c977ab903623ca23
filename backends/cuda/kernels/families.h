// The table of kernels (kernels.h), a family a source file (*.cu), so that
// they are compiled beside each other. Each file is compiled twice, by nvcc and
// as host C++ for the emulator; a program has one of the two.
#ifndef BACKENDS_CUDA_KERNELS_FAMILIES_H_
#define BACKENDS_CUDA_KERNELS_FAMILIES_H_

#include "backends/cuda/kernels/kernels.h"

namespace modelbatch::cuda {

void AddFp32Products(Kernels& kernels);
void AddTf32Products(Kernels& kernels);
void AddBf16Products(Kernels& kernels);
void AddLayers(Kernels& kernels);   // what is no product, and the losses
void AddUpdates(Kernels& kernels);  // gradients and optimizers

inline Kernels MakeKernels() {
  Kernels kernels;
  AddFp32Products(kernels);
  AddTf32Products(kernels);
  AddBf16Products(kernels);
  AddLayers(kernels);
  AddUpdates(kernels);
  return kernels;
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_FAMILIES_H_
