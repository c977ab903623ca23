// Buffers that notice when a kernel touches what it must not, and random values
// for them.
#ifndef BACKENDS_CPU_TESTING_H_
#define BACKENDS_CPU_TESTING_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/kernels.h"
#include "gtest/gtest.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu::testing {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// `count` floats that end where unreadable memory begins: one element too far
// is a crash. The 64 floats before them are checked on destruction.
class GuardedFloats {
 public:
  explicit GuardedFloats(int64_t count, float fill = 0) : count_(count) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t bytes = (count + kBefore) * sizeof(float);
    mapped_ = RoundUp(bytes, page) + page;
    base_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(base_, MAP_FAILED);
    mprotect(base_ + mapped_ - page, page, PROT_NONE);
    data_ = reinterpret_cast<float*>(base_ + mapped_ - page) - count;
    for (int64_t e = 0; e < kBefore; ++e) data_[e - kBefore] = kCanary;
    for (int64_t e = 0; e < count; ++e) data_[e] = fill;
  }
  ~GuardedFloats() {
    for (int64_t e = 0; e < kBefore; ++e) {
      EXPECT_EQ(data_[e - kBefore], kCanary) << "written before the start";
    }
    munmap(base_, mapped_);
  }
  GuardedFloats(const GuardedFloats&) = delete;
  GuardedFloats& operator=(const GuardedFloats&) = delete;

  float* data() { return data_; }
  const float* data() const { return data_; }
  int64_t size() const { return count_; }
  float& operator[](int64_t e) { return data_[e]; }
  float operator[](int64_t e) const { return data_[e]; }
  std::vector<float> Values() const { return {data_, data_ + count_}; }
  void Set(const std::vector<float>& values) {
    for (int64_t e = 0; e < count_; ++e) data_[e] = values[e];
  }

 private:
  static constexpr int64_t kBefore = 64;
  static constexpr float kCanary = 1234.5f;
  int64_t count_, mapped_;
  char* base_;
  float* data_;
};

// Activations: rows of `ld` floats (a multiple of kAlignFloats), padding NaN
// unless told.
class Activations {
 public:
  Activations(int64_t rows, int64_t cols, int64_t extra = 0,
              float padding = kNan)
      : rows_(rows),
        cols_(cols),
        ld_(RoundUp(cols, kAlignFloats) + extra * kAlignFloats),
        floats_(rows * ld_, padding) {}
  Activations(int64_t rows, int64_t cols, const std::vector<float>& values,
              int64_t extra = 0, float padding = kNan)
      : Activations(rows, cols, extra, padding) {
    Set(values);
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t ld() const { return ld_; }
  float* data() { return floats_.data(); }
  float& at(int64_t i, int64_t j) { return floats_[i * ld_ + j]; }
  float at(int64_t i, int64_t j) const { return floats_[i * ld_ + j]; }
  Matrix matrix() { return {floats_.data(), ld_}; }

  void Set(const std::vector<float>& values) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) at(i, j) = values[i * cols_ + j];
    }
  }
  // Without the padding.
  std::vector<float> Values() const {
    std::vector<float> values;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) values.push_back(at(i, j));
    }
    return values;
  }

 private:
  int64_t rows_, cols_, ld_;
  GuardedFloats floats_;
};

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  int64_t Int(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  bool Bool() { return Int(0, 1) == 1; }
  float Normal(float scale = 1) {
    return std::normal_distribution<float>(0, scale)(engine_);
  }
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine_);
  }
  std::vector<float> Normals(int64_t count, float scale = 1) {
    std::vector<float> values(count);
    for (float& v : values) v = Normal(scale);
    return values;
  }
  // One value in eight is special: zeros, denormals, huge, Inf, NaN; a tenth of
  // the arrays is any bits at all.
  std::vector<float> Wild(int64_t count) {
    static constexpr float kSpecial[] = {
        0.0f,   -0.0f, 1e-40f, -1e-40f, 1e-45f, 0x1p-126f, 3e38f,
        -3e38f, 1e20f, -1e20f, kInf,    -kInf,  kNan,      1.0f,
        -1.0f,  0.5f,  88.7f,  -103.5f, 1e4f,   -1e4f};
    const bool bits = Int(0, 9) == 0;
    std::vector<float> values = Normals(count);
    for (float& v : values) {
      if (bits) {
        const uint32_t b = engine_();
        std::memcpy(&v, &b, sizeof(v));
      } else if (Int(0, 7) == 0) {
        v = kSpecial[Int(0, std::size(kSpecial) - 1)];
      }
    }
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

// A NaN equals a NaN; all else must agree in every bit.
inline bool SameBits(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}
inline ::testing::AssertionResult SameBits(const std::vector<float>& a,
                                           const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes";
  for (size_t e = 0; e < a.size(); ++e) {
    if (!SameBits(a[e], b[e])) {
      return ::testing::AssertionFailure()
             << "element " << e << " of " << a.size() << ": " << a[e] << " and "
             << b[e];
    }
  }
  return ::testing::AssertionSuccess();
}

// Runs a test on every table that this machine has.
class EveryTable : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Kernels* found = FindKernels(GetParam());
    if (found == nullptr) GTEST_SKIP() << "this CPU lacks " << GetParam();
    kernels_ = *found;
  }
  Kernels kernels_;
};

#define MODELBATCH_ON_EVERY_TABLE(suite)                                   \
  INSTANTIATE_TEST_SUITE_P(Tables, suite,                                  \
                           ::testing::Values("avx512", "avx2", "generic"), \
                           [](const auto& info) { return info.param; })

}  // namespace modelbatch::cpu::testing

#endif  // BACKENDS_CPU_TESTING_H_
