// Counter-based randomness: Philox4x32-10 (Salmon et al., "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC'11), through Random123.
//
// A draw is a pure function of (seed, purpose, op, step, element), so it is the
// same on every backend, in every slot, in any order and after every resume.
//
//   key     = { low 32 bits of seed, high 32 bits of seed }
//   counter = { element / 4, purpose << 24 | op, low step, high step }
//   the draw of an element is word element % 4 of the block
#ifndef MODELBATCH_UTIL_PHILOX_H_
#define MODELBATCH_UTIL_PHILOX_H_

#include <array>
#include <cstdint>

namespace modelbatch {

// Separates the streams of one seed. Stored runs depend on these numbers.
enum class RandomPurpose : uint32_t {
  kInitialize = 0,
  kDropout = 1,
  kShuffle = 2,
  kSplit = 3,
  kSweep = 4,
  kMask = 5,
  kStratify = 6,
  kFold = 7,
};

inline constexpr uint32_t kMaxPhiloxOp = (1u << 24) - 1;

// Block `block` holds the draws of elements 4 * block to 4 * block + 3.
std::array<uint32_t, 4> PhiloxBlock(uint64_t seed, RandomPurpose purpose,
                                    uint32_t op, uint64_t step, uint32_t block);

// The draw of one element.
uint32_t PhiloxDraw(uint64_t seed, RandomPurpose purpose, uint32_t op,
                    uint64_t step, uint64_t element);

// [0, 1) on a grid of 2^-24: exact in float.
inline float UniformFloat(uint32_t draw) {
  return static_cast<float>(draw >> 8) * 0x1p-24f;
}

// Dropout keeps an element when its draw is at least p * 2^32, rounded to the
// nearest integer. p in [0, 1]; 2^32 (p = 1) keeps nothing.
inline uint64_t DropoutThreshold(double p) {
  return static_cast<uint64_t>(p * 4294967296.0 + 0.5);
}

// A seed for item `index` of something seeded with `seed`: distinct for
// distinct indices.
uint64_t DeriveSeed(uint64_t seed, uint64_t index);

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_PHILOX_H_
