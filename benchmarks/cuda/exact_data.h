// Data whose products every precision computes exactly: multiples of 1/128 in
// [-1, 1), 8 bits each, so that bf16 holds them, and sums of 1024 products fit
// the 24 bits of fp32 (of longer ones as well, if not all have one sign). A
// wrong product then differs, whatever the order of its sum. The same function
// on the host and on devices.
#ifndef BENCHMARKS_CUDA_EXACT_DATA_H_
#define BENCHMARKS_CUDA_EXACT_DATA_H_

#include <cstdint>

#ifdef __CUDACC__
#define MODELBATCH_HOST_DEVICE __host__ __device__
#else
#define MODELBATCH_HOST_DEVICE
#endif

namespace modelbatch::benchmarks {

// The longest sum that fits whatever its signs.
inline constexpr int64_t kMostExactTerms = 1024;

// splitmix64's finalizer (Steele et al. 2014).
MODELBATCH_HOST_DEVICE inline uint64_t MixBits(uint64_t seed, int64_t index) {
  uint64_t z =
      (static_cast<uint64_t>(index) + (seed << 48)) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// In units of 1/128: [-128, 128).
MODELBATCH_HOST_DEVICE inline int ExactUnits(uint64_t seed, int64_t index) {
  return static_cast<int>(MixBits(seed, index) & 255) - 128;
}

// Evenly from [-1, 1), all 24 bits in use: what is timed.
MODELBATCH_HOST_DEVICE inline float RandomValue(uint64_t seed, int64_t index) {
  return static_cast<float>(MixBits(seed, index) >> 40) * (1.0f / 8388608) - 1;
}

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_EXACT_DATA_H_
