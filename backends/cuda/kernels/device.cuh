// What every kernel is written with. The kernels' sources are compiled twice:
// by nvcc for devices, and as host C++ against backends/cuda/emulator, which
// runs them without one.
#ifndef BACKENDS_CUDA_KERNELS_DEVICE_CUH_
#define BACKENDS_CUDA_KERNELS_DEVICE_CUH_

#include <cstdint>

#include "backends/cuda/kernels/args.h"

// The formulas of the cpu backend, for one number.
#define MODELBATCH_CPU_ONE_LANE
#include "backends/cpu/activation-inl.h"
#include "backends/cpu/loss_formulas-inl.h"
#include "backends/cpu/math-inl.h"

#if defined(__CUDACC__)

// What a Kernel (kernels.h) has of the kernel `kernel`, which takes `args`.
#define MODELBATCH_CUDA_FUNCTION(args, kernel) \
  reinterpret_cast<const void*>(static_cast<void (*)(args)>(kernel))

namespace modelbatch::cuda {

// Neighbouring numbers of global memory in one access, as a float2 or float4:
// aligned to its size.
template <typename T>
__device__ inline T& Wide(float* at) {
  return *reinterpret_cast<T*>(at);
}
template <typename T>
__device__ inline const T& Wide(const float* at) {
  return *reinterpret_cast<const T*>(at);
}

// An array in shared memory: __shared__ Shared<float, 256> sums;
template <typename T, int kSize>
struct Shared {
  alignas(16) T data[kSize];
  __device__ T& operator[](int i) { return data[i]; }
  // Four elements from a multiple of four on.
  __device__ float4 Load4(int i) const {
    return *reinterpret_cast<const float4*>(data + i);
  }
  __device__ void Store4(int i, uint32_t x, uint32_t y, uint32_t z,
                         uint32_t w) {
    *reinterpret_cast<uint4*>(data + i) = make_uint4(x, y, z, w);
  }
};

}  // namespace modelbatch::cuda

#else
#include "backends/cuda/emulator/device.h"
#endif

// An entry of the table of kernels.
#define MODELBATCH_CUDA_KERNEL(args, kernel, threads) \
  { #kernel, MODELBATCH_CUDA_FUNCTION(args, (kernel)), threads }

namespace modelbatch::cuda {

namespace math = ::modelbatch::cpu::lane;

// Rows of one model's matrix.
struct RowsOf {
  const float* data;
  int64_t ld;
  const int32_t* index;  // null: row i is row i

  __device__ const float* Row(int64_t i) const {
    return data + (index == nullptr ? i : index[i]) * ld;
  }
};

__device__ inline RowsOf Open(const Source& source, int model) {
  const MatrixPlace& place = source.places[model];
  if (source.index == nullptr) {
    return {source.data + place.offset, place.ld, nullptr};
  }
  return {source.data, place.ld, source.index + source.begin[model]};
}

__device__ inline float* RowOf(const Target& target, int model, int64_t i) {
  const MatrixPlace& place = target.places[model];
  return target.data + place.offset + i * place.ld;
}

// The 16 virtual lanes of docs/arithmetic.md are 16 neighbouring threads: half
// a warp. All 32 threads of a warp call these together.
inline constexpr int kLanes = 16;
inline constexpr unsigned kWholeWarp = 0xffffffffu;

// The lanes' sum, joined by halving, for all of them.
template <typename T>
__device__ inline T JoinLanes(T sum) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    sum = sum + __shfl_down_sync(kWholeWarp, sum, half, kLanes);
  }
  return __shfl_sync(kWholeWarp, sum, 0, kLanes);
}

// The sum of terms(j) for j in [0, count), j in lane j % 16. Where `count` is
// not the same in both halves of a warp, the loops end apart and the join is
// together.
template <typename F>
__device__ inline float SumLanes(int64_t count, int lane, F terms) {
  float sum = 0.0f;
  for (int64_t j = lane; j < count; j += kLanes) sum = sum + terms(j);
  return JoinLanes(sum);
}

__device__ inline bool IsFinite(float x) {
  return math::Less(math::Abs(x), __builtin_inff());
}

__device__ inline bool IsBelowFactorLimit(float x) {
  return math::Less(math::Abs(x), kFactorLimit);
}

// Whether a model's state is touched.
__device__ inline bool Steps(const int32_t* outcomes, const int32_t* bad,
                             int model) {
  return outcomes[model] == kStepped && bad[model] == 0;
}

__device__ inline float Activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kRelu:
      return math::Relu(x);
    case Activation::kGelu:
      return math::Gelu(x);
    case Activation::kGeluTanh:
      return math::GeluTanh(x);
    case Activation::kTanh:
      return math::Tanh(x);
    case Activation::kSigmoid:
      return math::Sigmoid(x);
    case Activation::kNone:
      break;
  }
  return x;
}

// `d` times the derivative; `saved` is the activation's input or output, as its
// derivative reads.
__device__ inline float Derive(Activation activation, float saved, float d) {
  switch (activation) {
    case Activation::kRelu:
      return math::ReluBackward(saved, d);
    case Activation::kGelu:
      return math::GeluBackward(saved, d);
    case Activation::kGeluTanh:
      return math::GeluTanhBackward(saved, d);
    case Activation::kTanh:
      return math::TanhBackward(saved, d);
    case Activation::kSigmoid:
      return math::SigmoidBackward(saved, d);
    case Activation::kNone:
      break;
  }
  return d;
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_DEVICE_CUH_
