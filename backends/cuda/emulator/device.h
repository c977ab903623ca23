// CUDA C++ for the host: the words that backends/cuda/kernels is written in, so
// that the same sources run without a device. Included by kernels/device.cuh.
//
// The threads of a block are fibers (block_runner.h). What cannot be seen on a
// device by looking at results is reported here: an element of shared memory
// that two threads use with no barrier between, one that is read before it is
// written or lies outside, a barrier or a shuffle that not all threads reach, a
// wide access that is not aligned.
#ifndef BACKENDS_CUDA_EMULATOR_DEVICE_H_
#define BACKENDS_CUDA_EMULATOR_DEVICE_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "backends/cuda/emulator/block_runner.h"

// So that the variables in a kernel, its shared memory, are no symbols of a
// plugin.
#define __global__ static
#define __device__
#define __host__
#define __launch_bounds__(...)
// One block runs at a time on a thread of the host.
#define __shared__ static thread_local

#define threadIdx (::modelbatch::cuda::emulator::ThreadIndex())
#define blockIdx (::modelbatch::cuda::emulator::BlockIndex())

// A function that runs one thread: `void (const void* args)`.
#define MODELBATCH_CUDA_FUNCTION(args, kernel) \
  reinterpret_cast<const void*>(               \
      &::modelbatch::cuda::emulator::RunThread<args, kernel>)

#define __syncthreads() ::modelbatch::cuda::emulator::SyncThreads()
#define __shfl_sync(mask, value, lane, width) \
  ::modelbatch::cuda::emulator::Shuffle(mask, value, lane, width, false)
#define __shfl_down_sync(mask, value, delta, width) \
  ::modelbatch::cuda::emulator::Shuffle(mask, value, delta, width, true)

namespace modelbatch::cuda {

struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
struct alignas(8) float2 {
  float x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint32_t __umulhi(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(static_cast<uint64_t>(a) * b >> 32);
}
using std::sqrt;

namespace emulator {

template <typename Args, void (*kKernel)(Args)>
void RunThread(const void* args) {
  kKernel(*static_cast<const Args*>(args));
}

// The value of another thread of the same group of `width` in the warp.
template <typename T>
T Shuffle(unsigned mask, T value, int from, int width, bool down) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(value));
  bits = ExchangeInWarp(mask, bits, from, width, down);
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace emulator

template <typename T>
const T& Wide(const float* at) {
  if (reinterpret_cast<uintptr_t>(at) % sizeof(T) != 0) {
    emulator::Fail("a misaligned access of global memory",
                   reinterpret_cast<uintptr_t>(at) % sizeof(T));
  }
  return *reinterpret_cast<const T*>(at);
}
template <typename T>
T& Wide(float* at) {
  return const_cast<T&>(Wide<T>(static_cast<const float*>(at)));
}

// An array in shared memory that knows who used which element since when.
template <typename T, int kSize>
class Shared {
 public:
  class Element {
   public:
    Element(Shared* array, int i) : array_(array), i_(i) {}
    operator T() const {  // NOLINT: reads as T does
      array_->uses_[i_].Read(i_);
      return array_->data_[i_];
    }
    Element& operator=(T value) {
      array_->uses_[i_].Write(i_);
      array_->data_[i_] = value;
      return *this;
    }
    Element& operator=(const Element& other) { return *this = T(other); }

   private:
    Shared* array_;
    int i_;
  };

  Element operator[](int i) {
    if (i < 0 || i >= kSize) {
      emulator::Fail("an index outside of shared memory", i);
      i = 0;
    }
    return Element(this, i);
  }
  float4 Load4(int i) const {
    auto& self = const_cast<Shared&>(*this);
    if (i % 4 != 0) emulator::Fail("a misaligned load of four", i);
    return {self[i], self[i + 1], self[i + 2], self[i + 3]};
  }
  void Store4(int i, T x, T y, T z, T w) {
    if (i % 4 != 0) emulator::Fail("a misaligned store of four", i);
    (*this)[i] = x, (*this)[i + 1] = y, (*this)[i + 2] = z, (*this)[i + 3] = w;
  }

 private:
  T data_[kSize];
  emulator::SharedUse uses_[kSize];
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_EMULATOR_DEVICE_H_
