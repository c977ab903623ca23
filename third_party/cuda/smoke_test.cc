// Shows that nvcc's objects link into a C++ program, and that the runtime
// answers with an error, not a crash, where there is no device.

#include <gtest/gtest.h>

#include "third_party/cuda/smoke_kernel.h"

namespace modelbatch {
namespace {

TEST(Cuda, RunsAKernelOrSaysThatThereIsNoDevice) {
  int devices = 0;
  const cudaError_t probe = cudaGetDeviceCount(&devices);
  float values[] = {1, 2, 3};
  const cudaError_t error = AddOneOnDevice(values, 3);
  if (probe != cudaSuccess || devices == 0) {
    EXPECT_NE(error, cudaSuccess);
    GTEST_SKIP() << "no device: " << cudaGetErrorString(error);
  }
  ASSERT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
  EXPECT_EQ(values[0], 2);
  EXPECT_EQ(values[2], 4);
}

}  // namespace
}  // namespace modelbatch
