#include "modelbatch/util/philox.h"

#include "Random123/philox.h"

namespace modelbatch {

std::array<uint32_t, 4> PhiloxBlock(uint64_t seed, RandomPurpose purpose,
                                    uint32_t op, uint64_t step,
                                    uint32_t block) {
  const r123::Philox4x32::ctr_type counter = {
      {block, static_cast<uint32_t>(purpose) << 24 | op,
       static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)}};
  const r123::Philox4x32::key_type key = {
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  const auto out = r123::Philox4x32()(counter, key);
  return {out[0], out[1], out[2], out[3]};
}

uint32_t PhiloxDraw(uint64_t seed, RandomPurpose purpose, uint32_t op,
                    uint64_t step, uint64_t element) {
  return PhiloxBlock(seed, purpose, op, step,
                     static_cast<uint32_t>(element / 4))[element % 4];
}

uint64_t DeriveSeed(uint64_t seed, uint64_t index) {
  // SplitMix64's finaliser: a bijection of 64 bits, so distinct indices give
  // distinct seeds.
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace modelbatch
