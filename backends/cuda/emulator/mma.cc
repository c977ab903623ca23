#include "backends/cuda/emulator/mma.h"

#include <cstring>

#include "backends/cuda/emulator/block_runner.h"

namespace modelbatch::cuda::emulator {
namespace {

constexpr int kLanes = 32;
constexpr int kRows = 16, kCols = 8;

uint32_t BitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
float FloatOf(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
bool IsNan(uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }

uint32_t ToOneBf16(float x) {
  const uint32_t bits = BitsOf(x);
  if (IsNan(bits)) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// What one thread brings.
struct Fragments {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};

// The fragments, from "Matrix Fragments for mma.m16n8k8" (.tf32) and
// "mma.m16n8k16" (.bf16) of the PTX ISA: element i of a lane's a lies at
// (ARow, ACol), of its b at (BRow, BCol), of its d at (DRow, DCol).
struct Tf32 {
  static constexpr int kDepth = 8;
  static constexpr int kOfA = 4, kOfB = 2;  // elements of a lane
  static float Element(const uint32_t* words, int i) {
    return FloatOf(words[i]);
  }
  static int ARow(int group, int i) {
    return i == 0 || i == 2 ? group : group + 8;
  }
  static int ACol(int in_group, int i) {
    return i < 2 ? in_group : in_group + 4;
  }
  static int BRow(int in_group, int i) {
    return i == 0 ? in_group : in_group + 4;
  }
};

struct Bf16 {
  static constexpr int kDepth = 16;
  static constexpr int kOfA = 8, kOfB = 4;
  static float Element(const uint32_t* words, int i) {
    return FloatOf(words[i / 2] >> (i % 2 * 16) << 16);
  }
  static int ARow(int group, int i) {
    return i < 2 || (4 <= i && i < 6) ? group : group + 8;
  }
  static int ACol(int in_group, int i) {
    return in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
  }
  static int BRow(int in_group, int i) {
    return in_group * 2 + (i & 1) + (i < 2 ? 0 : 8);
  }
};

int DRow(int group, int i) { return i < 2 ? group : group + 8; }
int DCol(int in_group, int i) { return in_group * 2 + (i & 1); }

template <typename Type>
void Multiply(void* const* lanes) {
  float a[kRows][Type::kDepth], b[Type::kDepth][kCols];
  const auto each_lane = [lanes](auto f) {
    for (int lane = 0; lane < kLanes; ++lane) {
      f(*static_cast<const Fragments*>(lanes[lane]), lane >> 2, lane % 4);
    }
  };
  each_lane([&](const Fragments& own, int group, int in_group) {
    for (int i = 0; i < Type::kOfA; ++i) {
      a[Type::ARow(group, i)][Type::ACol(in_group, i)] =
          Type::Element(own.a, i);
    }
    for (int i = 0; i < Type::kOfB; ++i) {
      b[Type::BRow(in_group, i)][group] = Type::Element(own.b, i);
    }
  });
  each_lane([&](const Fragments& own, int group, int in_group) {
    for (int i = 0; i < 4; ++i) {
      const int row = DRow(group, i), col = DCol(in_group, i);
      double sum = own.d[i];
      for (int p = 0; p < Type::kDepth; ++p) {
        sum += static_cast<double>(a[row][p]) * b[p][col];
      }
      own.d[i] = static_cast<float>(sum);
    }
  });
}

}  // namespace

uint32_t ToTf32(float x) {
  const uint32_t bits = BitsOf(x);
  if (IsNan(bits)) return 0x7fffffffu;
  return (bits + 0x1000u) & ~0x1fffu;
}

uint32_t ToBf16(float low, float high) {
  return ToOneBf16(high) << 16 | ToOneBf16(low);
}

void MmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const auto check = [](uint32_t word) {
    if ((word & 0x1fffu) != 0 && !IsNan(word)) {
      Fail("an operand of mma that is not rounded to tf32", word);
    }
  };
  for (const uint32_t word : a) check(word);
  for (const uint32_t word : b) check(word);
  Fragments own = {d, a, b};
  MeetInWarp(&own, &Multiply<Tf32>);
}

void MmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Fragments own = {d, a, b};
  MeetInWarp(&own, &Multiply<Bf16>);
}

}  // namespace modelbatch::cuda::emulator
