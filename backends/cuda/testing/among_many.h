// The promise that a model's training does not depend on who is trained beside
// it, put to the test at the size that the backend is for: every model of a
// population of mixed shapes has the bits that it has alone, in any order of
// the models, launched one by one or as CUDA graphs, every time. On the
// emulator (among_many_test.cc) or on a device (device_among_many_test.cc).
#ifndef BACKENDS_CUDA_TESTING_AMONG_MANY_H_
#define BACKENDS_CUDA_TESTING_AMONG_MANY_H_

#include <cstdint>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/kernels/precision.h"

namespace modelbatch::cuda::testing {

struct AmongMany {
  GpuFactory open;
  Precision precision = Precision::kFp32;
  int models = 0;
  // Widths of hidden layers are odd and round ones up to about this.
  int64_t widest = 150;
};

// Trains the population in every way and compares. Losses, outcomes, weights,
// moments and step counts of every model must be the same; in fp32 they are
// those of the cpu backend as well. What differs fails the test that calls.
void TestAmongMany(const AmongMany& options);

}  // namespace modelbatch::cuda::testing

#endif  // BACKENDS_CUDA_TESTING_AMONG_MANY_H_
