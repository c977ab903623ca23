// Dropout by Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy
// as 1, 2, 3", SC'11): the draws of modelbatch/util/philox.h, many at a time.
#ifndef BACKENDS_CPU_DROPOUT_INL_H_
#define BACKENDS_CPU_DROPOUT_INL_H_

#include "backends/cpu/dropout_plan.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Four Philox blocks a vector; several vectors hide the multiplier's latency.
inline constexpr int kPhiloxVectors = 2;
inline constexpr int64_t kPhiloxDraws = kPhiloxVectors * 16;

// The draws of kPhiloxDraws elements from block `block` on.
inline void PhiloxDraws(const DropoutPlan& plan, uint32_t block,
                        uint32_t* out) {
  const W m0 = SetW(0xD2511F53u), m1 = SetW(0xCD9E8D57u);
  W c0[kPhiloxVectors], c1[kPhiloxVectors], c2[kPhiloxVectors],
      c3[kPhiloxVectors];
  for (int g = 0; g < kPhiloxVectors; ++g) {
    c0[g] = CountUp(block + 4 * g);
    c1[g] = SetW(plan.counter[0]);
    c2[g] = SetW(plan.counter[1]);
    c3[g] = SetW(plan.counter[2]);
  }
  uint32_t k0 = plan.key[0], k1 = plan.key[1];
  for (int round = 0; round < 10; ++round) {
    const W w0 = SetW(k0), w1 = SetW(k1);
    for (int g = 0; g < kPhiloxVectors; ++g) {
      const W p0 = MulWide(m0, c0[g]), p1 = MulWide(m1, c2[g]);
      c0[g] = HighHalf(p1) ^ c1[g] ^ w0;
      c1[g] = p1;
      c2[g] = HighHalf(p0) ^ c3[g] ^ w1;
      c3[g] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int g = 0; g < kPhiloxVectors; ++g) {
    StoreBlocks(c0[g], c1[g], c2[g], c3[g], out + 16 * g);
  }
}

inline void Dropout(int64_t rows, int64_t cols, ConstMatrix x, Matrix y,
                    const DropoutKey& key, bool accumulate) {
  constexpr int64_t kDraws = 1024;
  static_assert(kDraws % kPhiloxDraws == 0);
  alignas(64) uint32_t draws[kDraws] = {};
  const DropoutPlan plan = PlanDropout(key);
  // p = 0 and p = 1 need no draws: the zeros above are all kept or all not.
  const bool keep_all = plan.threshold == 0;
  const bool keep_none = plan.threshold == uint64_t{1} << 32;
  const bool draw = !keep_all && !keep_none;
  const uint32_t bound = keep_none ? 1 : static_cast<uint32_t>(plan.threshold);
  const V scale = Set1(plan.scale);
  const int64_t first = key.first_row * cols, total = first + rows * cols;
  int64_t begin = 0, end = 0;  // the elements whose draws are in `draws`
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; j += 8) {
      const int64_t e = first + i * cols + j;
      if (draw && e + 8 > end) {
        begin = e / 4 * 4;
        int64_t count = total + 8 - begin;
        if (count > kDraws) count = kDraws;
        for (int64_t d = 0; d < count; d += kPhiloxDraws) {
          PhiloxDraws(plan, static_cast<uint32_t>((begin + d) / 4), draws + d);
        }
        end = begin + count;
      }
      const M kept = AtLeastUnsigned(draws + (draw ? e - begin : 0), bound);
      const V value = ZeroUnless(kept, Load(x.data + i * x.ld + j) * scale);
      float* const to = y.data + i * y.ld + j;
      Store(to, accumulate ? Load(to) + value : value);
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_DROPOUT_INL_H_
