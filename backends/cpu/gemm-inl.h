// Matrix products: every element is one FMA chain over k, ascending, from +0
// (kernels.h). Tiles of up to 6 x 16 stay in registers; between blocks of k the
// chains' values wait in memory, in fp32, which changes no bit.
#ifndef BACKENDS_CPU_GEMM_INL_H_
#define BACKENDS_CPU_GEMM_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline constexpr int64_t kPanel = 16;   // columns: two vectors
inline constexpr int kTileRows = 6;     // 12 accumulators of 16 registers
inline constexpr int64_t kDepth = 256;  // 16 KiB of b: half the L1 cache
inline constexpr int64_t kRowBlock = 240;

// Where a tile finds its panel of b.
enum class PanelB {
  kReady,     // in rows of 16 that may be read
  kPack,      // the same; copied to `packed` in passing, for the next tiles
  kPackTail,  // the panel has fewer than 16 columns that may be read
};

// A panel of b over one block of k, and the rows of a that meet it next.
struct Panel {
  const float* a;
  const float* b;
  int64_t b_row;
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

// `kRows` rows of c.
template <int kRows, PanelB kPanelB>
inline __attribute__((always_inline)) void RunTile(const GemmArgs& g,
                                                   const Panel& t) {
  V acc[kRows][2];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    acc[r][0] = t.first ? Zero() : Load(t.sums + r * kPanel);
    acc[r][1] = t.first ? Zero() : Load(t.sums + r * kPanel + 8);
  }
  const int64_t n0 = t.n < 8 ? t.n : 8, n1 = t.n - n0;
  const M low = FirstN(n0), high = FirstN(n1);
  const int64_t a_row = g.a_row, a_col = g.a_col, b_row = t.b_row;
  const float* a0 = t.a;
  const float* a3 = t.a + (kRows > 3 ? 3 * a_row : 0);
  const float* b = t.b;
  float* packed = t.packed;
  for (int64_t p = t.k; p > 0; --p) {
    const V b0 = kPanelB == PanelB::kPackTail ? LoadMasked(b, low) : Load(b);
    const V b1 =
        kPanelB == PanelB::kPackTail ? LoadMasked(b + 8, high) : Load(b + 8);
    if constexpr (kPanelB != PanelB::kReady) {
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
  }
  float* c = t.c;
  if (!t.last) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      Store(t.sums + r * kPanel, acc[r][0]);
      Store(t.sums + r * kPanel + 8, acc[r][1]);
    }
  } else if (t.n == kPanel) {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r, c += g.c_row) {
      Finish(g, acc[r][0], c, t.bias, 8, 8);
      Finish(g, acc[r][1], c + 8, t.bias + 8, 8, 8);
    }
  } else {
    const int64_t write0 = g.c_padded ? 8 : n0, write1 = g.c_padded ? 8 : n1;
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r, c += g.c_row) {
      Finish(g, acc[r][0], c, t.bias, n0, write0);
      if (n1 > 0) Finish(g, acc[r][1], c + 8, t.bias + 8, n1, write1);
    }
  }
}

// `tiles` tiles of `kRows` rows; moves `t` past them. kPanelB is for the first.
template <int kRows>
inline void RunTiles(const GemmArgs& g, PanelB panel_b, int64_t tiles,
                     Panel& t) {
  for (; tiles > 0; --tiles) {
    if (panel_b == PanelB::kReady) {
      RunTile<kRows, PanelB::kReady>(g, t);
    } else {
      if (panel_b == PanelB::kPack) {
        RunTile<kRows, PanelB::kPack>(g, t);
      } else {
        RunTile<kRows, PanelB::kPackTail>(g, t);
      }
      t.b = t.packed;
      t.b_row = kPanel;
      panel_b = PanelB::kReady;
    }
    t.a += kRows * g.a_row;
    t.c += kRows * g.c_row;
    t.sums += kRows * kPanel;
  }
}

inline void RunTiles(const GemmArgs& g, PanelB panel_b, int64_t rows,
                     int64_t tiles, Panel& t) {
  if (tiles == 0) return;
  switch (rows) {
    case 1:
      return RunTiles<1>(g, panel_b, tiles, t);
    case 2:
      return RunTiles<2>(g, panel_b, tiles, t);
    case 3:
      return RunTiles<3>(g, panel_b, tiles, t);
    case 4:
      return RunTiles<4>(g, panel_b, tiles, t);
    case 5:
      return RunTiles<5>(g, panel_b, tiles, t);
    default:
      return RunTiles<6>(g, panel_b, tiles, t);
  }
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
      PanelB panel_b = tiles > 2 ? PanelB::kPack : PanelB::kReady;
      if (t.n < kPanel && !g.b_padded) panel_b = PanelB::kPackTail;
      int64_t p = 0;
      for (int64_t d = 0; d < depths; ++d, p += t.k) {
        t.k = depths == 1 ? g.k : g.k / depths + (d < g.k % depths);
        t.first = d == 0;
        t.last = d == depths - 1;
        t.a = g.a + i * g.a_row + p * g.a_col;
        t.b = g.b + p * g.b_row + j;
        t.b_row = g.b_row;
        t.c = g.c + i * g.c_row + j;
        t.sums = sums;
        RunTiles(g, panel_b, tile_rows + 1, larger, t);
        RunTiles(g, larger > 0 ? PanelB::kReady : panel_b, tile_rows,
                 tiles - larger, t);
      }
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_GEMM_INL_H_
