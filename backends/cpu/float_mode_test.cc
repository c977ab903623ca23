// ScopedFloatMode shields the kernels from what other libraries did to the
// floating-point mode.
#include <xmmintrin.h>

#include "backends/cpu/kernels.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr uint32_t kFlushToZero = 1u << 15, kDenormalsAreZero = 1u << 6;
constexpr uint32_t kRoundToZero = 3u << 13;

// Restores the mode even if a test fails.
class FloatModeTest : public ::testing::Test {
 protected:
  ~FloatModeTest() override { _mm_setcsr(saved_); }
  const uint32_t saved_ = _mm_getcsr();
};

// Denormal and inexact results.
std::vector<float> Compute() {
  const std::vector<float> x = {1e-30f, 3e-39f, 0.1f, 0.3f, 0.7f, 1.1f, 1.3f};
  Activations a(1, 7, x), b(7, 1, x), c(1, 1);
  GemmArgs g;
  g.m = 1, g.n = 1, g.k = 7;
  g.a = a.data(), g.a_row = a.ld(), g.a_col = 1;
  g.b = b.data(), g.b_row = b.ld(), g.b_padded = true;
  g.c = c.data(), g.c_row = c.ld(), g.c_padded = true;
  BestKernels().gemm(g);
  Activations y(1, 7);
  BestKernels().add(1, 7, a.matrix(), a.matrix(), y.matrix());
  std::vector<float> result = y.Values();
  result.push_back(c.at(0, 0));
  return result;
}

TEST_F(FloatModeTest, SameBitsWhateverTheModeWas) {
  const std::vector<float> expected = Compute();
  for (uint32_t mode : {kFlushToZero, kDenormalsAreZero, kRoundToZero,
                        kFlushToZero | kDenormalsAreZero | kRoundToZero}) {
    _mm_setcsr(saved_ | mode);
    const std::vector<float> wrong = Compute();
    std::vector<float> right;
    {
      ScopedFloatMode scope;
      right = Compute();
    }
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, (saved_ | mode) & ~0x3fu);
    _mm_setcsr(saved_);
    EXPECT_FALSE(SameBits(wrong, expected)) << "the test sees no difference";
    EXPECT_TRUE(SameBits(right, expected)) << std::hex << mode;
  }
}

TEST_F(FloatModeTest, Nests) {
  _mm_setcsr(saved_ | kFlushToZero);
  const uint32_t outer = _mm_getcsr();
  {
    ScopedFloatMode first;
    { ScopedFloatMode second; }
    EXPECT_EQ(_mm_getcsr() & kFlushToZero, 0u);
  }
  EXPECT_EQ(_mm_getcsr(), outer);
}

}  // namespace
}  // namespace modelbatch::cpu::testing
