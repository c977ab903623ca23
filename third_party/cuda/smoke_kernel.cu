#include "third_party/cuda/smoke_kernel.h"

namespace modelbatch {
namespace {

__global__ void AddOne(float* values, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < size) values[i] += 1;
}

}  // namespace

cudaError_t AddOneOnDevice(float* values, int size) {
  float* copy = nullptr;
  const size_t bytes = sizeof(float) * size;
  cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&copy), bytes);
  if (error != cudaSuccess) return error;
  error = cudaMemcpy(copy, values, bytes, cudaMemcpyHostToDevice);
  if (error == cudaSuccess) {
    AddOne<<<(size + 127) / 128, 128>>>(copy, size);
    error = cudaGetLastError();
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(values, copy, bytes, cudaMemcpyDeviceToHost);
  }
  cudaFree(copy);
  return error;
}

}  // namespace modelbatch
