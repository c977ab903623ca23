// Matrix products: every element is one FMA chain over k, ascending, from +0
// (kernels.h). Tiles of up to 6 x 16 stay in registers; between blocks of k the
// chains' values wait in memory, in fp32, which changes no bit.
#ifndef BACKENDS_CPU_GEMM_INL_H_
#define BACKENDS_CPU_GEMM_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline constexpr int64_t kPanel = 16;  // columns: two vectors
// 12 accumulators of 16 registers; portable code is slow to compile unrolled.
inline constexpr int kTileRows = kVectorised ? 6 : 2;
inline constexpr int64_t kDepth = 256;  // 16 KiB of b: half the L1 cache
inline constexpr int64_t kRowBlock = 240;

// Where a tile finds its panel of b.
enum class PanelB {
  kPack,      // in b; the tile copies it to `packed`, for the next tiles
  kPacked,    // in `packed`, one row behind the other
  kPackTail,  // as kPack, with fewer than 16 columns that may be read
};

// A panel of b over one block of k, and the rows of a that meet it next.
struct Panel {
  const float* a;
  const float* b;
  int64_t k;
  float* packed;
  float* sums;  // the chains' values between blocks of k, 16 a row
  float* c;
  const float* bias;
  int64_t n;         // real columns, at most 16
  bool first, last;  // block of k
};

// Ends eight chains, n of them real, of which `write` are written.
inline __attribute__((always_inline)) void Finish(const GemmArgs& g, V sum,
                                                  float* c, const float* bias,
                                                  int64_t n, int64_t write) {
  if (g.accumulate) sum = LoadUpTo(c, n) + sum;
  if (g.bias != nullptr) sum = sum + LoadUpTo(bias, n);
  if (g.relu) sum = Max(Zero(), sum);
  StoreUpTo(c, sum, write);
}

// `kRows` rows of c. kARow and kACol are a's strides, or 0 where only known at
// run time. (Pointers that change are arguments: in `t` they would be reloaded
// after every store.)
template <int kRows, int kARow, int kACol, PanelB kPanelB>
inline __attribute__((always_inline)) void RunTile(const GemmArgs& g,
                                                   const Panel& t,
                                                   const float* a, float* c,
                                                   float* sums) {
  static_assert(kRows <= kTileRows);
  V acc[kRows][2];
  if (t.first) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = Zero();
  } else {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      acc[r][0] = Load(sums + r * kPanel);
      acc[r][1] = Load(sums + r * kPanel + 8);
    }
  }
  const int64_t n0 = t.n < 8 ? t.n : 8, n1 = t.n - n0;
  const M low = FirstN(n0), high = FirstN(n1);
  const int64_t a_row = kARow != 0 ? kARow : g.a_row;
  const int64_t a_col = kACol != 0 ? kACol : g.a_col;
  const int64_t b_row = kPanelB == PanelB::kPacked ? kPanel : g.b_row;
  const float* a0 = a;
  const float* a3 = a + (kRows > 3 ? 3 * a_row : 0);
  const float* b = kPanelB == PanelB::kPacked ? t.packed : t.b;
  float* packed = t.packed;
  const auto step = [&]() __attribute__((always_inline)) {
    constexpr bool kMasked = kPanelB == PanelB::kPackTail;
    const V b0 = kMasked ? LoadMasked(b, low) : Load(b);
    const V b1 = kMasked ? LoadMasked(b + 8, high) : Load(b + 8);
    if constexpr (kPanelB == PanelB::kPack || kMasked) {
      Store(packed, b0);
      Store(packed + 8, b1);
      packed += kPanel;
    }
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const V x = Set1(r < 3 ? a0[r * a_row] : a3[(r - 3) * a_row]);
      acc[r][0] = Fma(x, b0, acc[r][0]);
      acc[r][1] = Fma(x, b1, acc[r][1]);
    }
    a0 += a_col;
    a3 += a_col;
    b += b_row;
  };
  int64_t p = t.k;
  for (; kVectorised && p >= 4; p -= 4) {
    step();
    step();
    step();
    step();
  }
  for (; p > 0; --p) step();
  if (!t.last) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      Store(sums + r * kPanel, acc[r][0]);
      Store(sums + r * kPanel + 8, acc[r][1]);
    }
  } else if (t.n < kPanel) {
    const int64_t write0 = g.c_padded ? 8 : n0, write1 = g.c_padded ? 8 : n1;
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r, c += g.c_row) {
      Finish(g, acc[r][0], c, t.bias, n0, write0);
      if (n1 > 0) Finish(g, acc[r][1], c + 8, t.bias + 8, n1, write1);
    }
  } else if (g.accumulate || g.bias != nullptr || g.relu) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r, c += g.c_row) {
      Finish(g, acc[r][0], c, t.bias, 8, 8);
      Finish(g, acc[r][1], c + 8, t.bias + 8, 8, 8);
    }
  } else {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r, c += g.c_row) {
      Store(c, acc[r][0]);
      Store(c + 8, acc[r][1]);
    }
  }
}

// `tiles` tiles of `kRows` rows; moves `t` past them. `panel_b` is where the
// first finds b.
template <int kRows, int kARow, int kACol>
inline void RunTiles(const GemmArgs& args, PanelB panel_b, int64_t tiles,
                     Panel& panel) {
  const GemmArgs g = args;
  const Panel t = panel;
  const float* a = t.a;
  float *c = t.c, *sums = t.sums;
  const auto next = [&] {
    a += kRows * g.a_row;
    c += kRows * g.c_row;
    sums += kRows * kPanel;
    --tiles;
  };
  if (panel_b == PanelB::kPack && kARow + kACol != 0) {
    RunTile<kRows, kARow, kACol, PanelB::kPack>(g, t, a, c, sums);
    next();
  } else if (panel_b != PanelB::kPacked) {
    RunTile<kRows, 0, 0, PanelB::kPackTail>(g, t, a, c, sums);
    next();
  }
  while (tiles > 0) {
    RunTile<kRows, kARow, kACol, PanelB::kPacked>(g, t, a, c, sums);
    next();
  }
  panel.a = a;
  panel.c = c;
  panel.sums = sums;
}

// The same for any `rows` up to kRows.
template <int kRows>
inline void RunTiles(const GemmArgs& g, PanelB panel_b, int64_t rows,
                     int64_t tiles, Panel& t) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return RunTiles<kRows - 1>(g, panel_b, rows, tiles, t);
  }
  // Code for known strides, which is faster, where there is time to compile it.
  if constexpr (kVectorised) {
    if (g.a_col == 1) return RunTiles<kRows, 0, 1>(g, panel_b, tiles, t);
    if (g.a_row == 1) return RunTiles<kRows, 1, 0>(g, panel_b, tiles, t);
  }
  RunTiles<kRows, 0, 0>(g, panel_b, tiles, t);
}

inline void Gemm(const GemmArgs& g) {
  alignas(64) float packed[kDepth * kPanel];
  alignas(64) float sums[kRowBlock * kPanel];
  const int64_t depths = g.k <= kDepth ? 1 : (g.k + kDepth - 1) / kDepth;
  for (int64_t i = 0; i < g.m; i += kRowBlock) {
    // Tiles and blocks of k of about equal size: small ones run slowly.
    const int64_t rows = g.m - i < kRowBlock ? g.m - i : kRowBlock;
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    const int64_t tile_rows = rows / tiles, larger = rows % tiles;
    for (int64_t j = 0; j < g.n; j += kPanel) {
      Panel t;
      t.n = g.n - j < kPanel ? g.n - j : kPanel;
      t.packed = packed;
      t.bias = g.bias == nullptr ? packed : g.bias + j;
      const bool tail = t.n < kPanel && !g.b_padded;
      const PanelB panel_b = tail ? PanelB::kPackTail : PanelB::kPack;
      int64_t p = 0;
      for (int64_t d = 0; d < depths; ++d, p += t.k) {
        t.k = depths == 1 ? g.k : g.k / depths + (d < g.k % depths);
        t.first = d == 0;
        t.last = d == depths - 1;
        t.a = g.a + i * g.a_row + p * g.a_col;
        t.b = g.b + p * g.b_row + j;
        t.c = g.c + i * g.c_row + j;
        t.sums = sums;
        if (larger > 0) {
          RunTiles<kTileRows>(g, panel_b, tile_rows + 1, larger, t);
        }
        RunTiles<kTileRows>(g, larger > 0 ? PanelB::kPacked : panel_b,
                            tile_rows, tiles - larger, t);
      }
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_GEMM_INL_H_
