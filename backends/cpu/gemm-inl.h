// Matrix products: every element is one FMA chain over k, ascending, from +0
// (kernels.h). Tiles of up to 6 x 16 or 4 x 24 stay in registers, with AVX-512
// 12 x 32 or 8 x 48; between blocks of k the chains' values wait in memory, in
// fp32, which changes no bit.
#ifndef BACKENDS_CPU_GEMM_INL_H_
#define BACKENDS_CPU_GEMM_INL_H_

#include "backends/cpu/activation-inl.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"
#include "backends/cpu/wide-inl.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Vectors of columns in a tile, and its rows: 8 to 12 accumulators of 16
// registers, 12 to 24 of 32. Portable code is slow to compile unrolled.
inline constexpr int kMaxVectors = 3;
constexpr int TileRows(int vectors) {
  constexpr int k32[] = {12, 12, 8}, k16[] = {8, 6, 4}, kPortable[] = {2, 2, 1};
  return (!kVectorised ? kPortable : kRegisters == 32 ? k32 : k16)[vectors - 1];
}
inline constexpr int64_t kDepth = 256;  // 16 or 24 KiB of b: half the L1 cache
inline constexpr int64_t kRowBlock = 240;

// Where a tile finds its panel of b.
enum class PanelB {
  kPack,      // in b; the tile copies it to `packed`, for the next tiles
  kPacked,    // in `packed`, one row behind the other
  kDirect,    // in b
  kPackTail,  // as kPack and kDirect, with columns that may not be read
  kDirectTail,
};

// A panel of b over one block of k, and the rows of a that meet it next.
struct Panel {
  const float* a;
  const float* b;
  int64_t k;
  float* packed;
  float* sums;  // the chains' values between blocks of k, a panel's a row
  float* c;
  const float* bias;
  int64_t n;         // real columns, at most the panel's
  bool first, last;  // block of k
};

// Asks for memory before a tile, a line for so many steps of its chains: 48
// cycles of two vector units, in which any memory gives one. False: there is
// none to ask for. (Not inline: it would take registers from the tiles. Spread
// over the tile's steps it is slower.)
inline constexpr int kStepsPerLine = kRegisters == 32 ? 2 : 8;
__attribute__((noinline)) static bool Fetch(PrefetchQueue& queue, int64_t k) {
  for (int64_t most = k / kStepsPerLine + 1; most > 0;) {
    const PrefetchQueue::Lines lines = queue.NextLines(most);
    if (lines.count == 0) return false;
    for (int64_t i = 0; i < lines.count; ++i) {
      __builtin_prefetch(lines.first + i * PrefetchQueue::kLine, /*rw=*/0,
                         /*locality=*/2);
    }
    most -= lines.count;
  }
  return true;
}

// Ends the chains of a tile with fewer columns than its panel, from memory:
// code for every column of every tile would be most of this file's.
__attribute__((noinline)) static void FinishTail(const GemmArgs& g,
                                                 const Panel& t, int rows,
                                                 int64_t panel,
                                                 const float* sums, float* c) {
  for (int64_t j = 0; j < t.n; j += 8) {
    const int64_t n = t.n - j < 8 ? t.n - j : 8;
    const V bias = g.bias != nullptr ? LoadUpTo(t.bias + j, n) : Zero();
    for (int r = 0; r < rows; ++r) {
      V sum = Load(sums + r * panel + j);
      float* const to = c + r * g.c_row + j;
      if (g.accumulate) sum = LoadUpTo(to, n) + sum;
      if (g.bias != nullptr) sum = sum + bias;
      if (g.relu) sum = Max(Zero(), sum);
      if (g.relu_output != nullptr) {
        sum = ReluBackward(LoadUpTo(g.relu_output + (to - g.c), n), sum);
      }
      StoreUpTo(to, sum, g.c_padded ? 8 : n);
    }
  }
}

// `kRows` rows of c. kARow and kACol are a's strides, or 0 where only known at
// run time. (Pointers that change are arguments: in `t` they would be reloaded
// after every store. `whole_g` and `whole_t` are `g` and `t` in memory, which
// are copies in registers as long as nothing takes their address.)
template <int kVectors, int kRows, int kARow, int kACol, PanelB kPanelB>
inline __attribute__((always_inline)) void RunTile(
    const GemmArgs& whole_g, const Panel& whole_t, const GemmArgs& g,
    const Panel& t, const float* a, float* c, float* sums) {
  static_assert(kRows <= TileRows(kVectors));
  constexpr int kPanel = kWide * kVectors;
  constexpr bool kPacked = kPanelB == PanelB::kPacked;
  constexpr bool kMasked =
      kPanelB == PanelB::kPackTail || kPanelB == PanelB::kDirectTail;
  constexpr bool kPacks =
      kPanelB == PanelB::kPack || kPanelB == PanelB::kPackTail;
  X acc[kRows][kVectors];
  if (t.first) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) acc[r][v] = ZeroX();
    }
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        acc[r][v] = LoadX(sums + r * kPanel + kWide * v);
      }
    }
  }
  MX mask[kVectors];
#pragma GCC unroll 3
  for (int v = 0; v < kVectors; ++v) {
    const int64_t n = t.n - kWide * v;
    mask[v] = FirstNX(n < 0 ? 0 : n < kWide ? n : kWide);
  }
  const int64_t a_row = kARow != 0 ? kARow : g.a_row;
  const int64_t a_col = kACol != 0 ? kACol : g.a_col;
  const int64_t b_row = kPacked ? kPanel : g.b_row;
  constexpr int kPointers = (kRows + 2) / 3;  // to every third row of a
  const float* rows[kPointers];
#pragma GCC unroll 4
  for (int i = 0; i < kPointers; ++i) rows[i] = a + 3 * i * a_row;
  const float* b = kPacked ? t.packed : t.b;
  float* packed = t.packed;
  const auto step = [&]() __attribute__((always_inline)) {
    X x[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      x[v] =
          kMasked ? LoadMaskedX(b + kWide * v, mask[v]) : LoadX(b + kWide * v);
      if constexpr (kPacks) Store(packed + kWide * v, x[v]);
    }
    if constexpr (kPacks) packed += kPanel;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const X y = SetX(rows[r / 3][r % 3 * a_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Fma(y, x[v], acc[r][v]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kPointers; ++i) rows[i] += a_col;
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
  if (!t.last || t.n < kPanel) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        Store(sums + r * kPanel + kWide * v, acc[r][v]);
      }
    }
    if (t.last) FinishTail(whole_g, whole_t, kRows, kPanel, sums, c);
    return;
  }
  if (g.accumulate) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        acc[r][v] = LoadX(c + r * g.c_row + kWide * v) + acc[r][v];
      }
    }
  }
  if (g.bias != nullptr) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      const X bias = LoadX(t.bias + kWide * v);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) acc[r][v] = acc[r][v] + bias;
    }
  }
  if (g.relu) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Max(ZeroX(), acc[r][v]);
    }
  }
  if (g.relu_output != nullptr) {
    const float* const y = g.relu_output + (c - g.c);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        acc[r][v] = ReluBackward(LoadX(y + r * g.c_row + kWide * v), acc[r][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r, c += g.c_row) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) Store(c + kWide * v, acc[r][v]);
  }
}

// `tiles` tiles of `kRows` rows; moves `t` past them. `panel_b` is where the
// first finds b.
template <int kVectors, int kRows, int kARow, int kACol>
inline void RunTiles(const GemmArgs& args, PanelB panel_b, int64_t tiles,
                     Panel& panel) {
  // Code for whole panels of b and known strides, which is faster, where there
  // is time to compile it; one vector is mostly a tail.
  constexpr bool kKnown = kARow + kACol != 0 && kVectors > 1;
  const GemmArgs g = args;
  const Panel t = panel;
  const float* a = t.a;
  float *c = t.c, *sums = t.sums;
  bool fetching = g.prefetch != nullptr;
  if (fetching) fetching = Fetch(*g.prefetch, t.k);
  const auto next = [&] {
    a += kRows * g.a_row;
    c += kRows * g.c_row;
    sums += kRows * kWide * kVectors;
    --tiles;
    if (fetching && tiles > 0) fetching = Fetch(*g.prefetch, t.k);
  };
  if (panel_b == PanelB::kDirect || panel_b == PanelB::kDirectTail) {
    if constexpr (kKnown) {
      while (tiles > 0 && panel_b == PanelB::kDirect) {
        RunTile<kVectors, kRows, kARow, kACol, PanelB::kDirect>(args, panel, g,
                                                                t, a, c, sums);
        next();
      }
    }
    while (tiles > 0) {
      RunTile<kVectors, kRows, 0, 0, PanelB::kDirectTail>(args, panel, g, t, a,
                                                          c, sums);
      next();
    }
  } else if (kKnown && panel_b == PanelB::kPack) {
    if constexpr (kKnown) {
      RunTile<kVectors, kRows, kARow, kACol, PanelB::kPack>(args, panel, g, t,
                                                            a, c, sums);
      next();
    }
  } else if (panel_b != PanelB::kPacked) {
    RunTile<kVectors, kRows, 0, 0, PanelB::kPackTail>(args, panel, g, t, a, c,
                                                      sums);
    next();
  }
  while (tiles > 0) {
    RunTile<kVectors, kRows, kARow, kACol, PanelB::kPacked>(args, panel, g, t,
                                                            a, c, sums);
    next();
  }
  panel.a = a;
  panel.c = c;
  panel.sums = sums;
}

// The same for any `rows` up to kRows.
template <int kVectors, int kRows>
inline void RunTiles(const GemmArgs& g, PanelB panel_b, int64_t rows,
                     int64_t tiles, Panel& t) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return RunTiles<kVectors, kRows - 1>(g, panel_b, rows, tiles, t);
    }
  }
  if constexpr (kVectorised) {
    if (g.a_col == 1)
      return RunTiles<kVectors, kRows, 0, 1>(g, panel_b, tiles, t);
    if (g.a_row == 1)
      return RunTiles<kVectors, kRows, 1, 0>(g, panel_b, tiles, t);
  }
  RunTiles<kVectors, kRows, 0, 0>(g, panel_b, tiles, t);
}

// Memory of one product.
struct GemmScratch {
  alignas(64) float packed[kDepth * kWide * kMaxVectors];
  alignas(64) float sums[kRowBlock * kWide * kMaxVectors];
};

// Rows i to i + rows of the columns from j on: all k of one panel.
template <int kVectors>
inline void RunPanel(const GemmArgs& g, int64_t i, int64_t rows, int64_t j,
                     GemmScratch& scratch) {
  constexpr int64_t kPanel = kWide * kVectors;
  // Tiles and blocks of k of about equal size: small ones run slowly.
  const int64_t tiles = (rows + TileRows(kVectors) - 1) / TileRows(kVectors);
  const int64_t tile_rows = rows / tiles, larger = rows % tiles;
  const int64_t depths = g.k <= kDepth ? 1 : (g.k + kDepth - 1) / kDepth;
  Panel t;
  t.n = g.n - j < kPanel ? g.n - j : kPanel;
  t.packed = scratch.packed;
  t.sums = scratch.sums;
  t.bias = g.bias == nullptr ? scratch.packed : g.bias + j;
  const int64_t readable =
      g.b_padded ? (g.n + kAlignFloats - 1) / kAlignFloats * kAlignFloats : g.n;
  const bool tail = j + kPanel > readable;
  // A copy for one tile alone helps nobody.
  const bool pack = g.tiling.pack && tiles > 1;
  const PanelB panel_b = pack   ? (tail ? PanelB::kPackTail : PanelB::kPack)
                         : tail ? PanelB::kDirectTail
                                : PanelB::kDirect;
  int64_t p = 0;
  for (int64_t d = 0; d < depths; ++d, p += t.k) {
    t.k = depths == 1 ? g.k : g.k / depths + (d < g.k % depths);
    t.first = d == 0;
    t.last = d == depths - 1;
    t.a = g.a + i * g.a_row + p * g.a_col;
    t.b = g.b + p * g.b_row + j;
    t.c = g.c + i * g.c_row + j;
    t.sums = scratch.sums;
    if (larger > 0) {
      RunTiles<kVectors, TileRows(kVectors)>(g, panel_b, tile_rows + 1, larger,
                                             t);
    }
    RunTiles<kVectors, TileRows(kVectors)>(
        g, larger > 0 && pack ? PanelB::kPacked : panel_b, tile_rows,
        tiles - larger, t);
  }
}

inline void Gemm(const GemmArgs& g) {
  GemmScratch scratch;
  for (int64_t i = 0; i < g.m; i += kRowBlock) {
    const int64_t rows = g.m - i < kRowBlock ? g.m - i : kRowBlock;
    for (int64_t j = 0; j < g.n;) {
      // The last panels are as narrow as they can be.
      const int64_t left = (g.n - j + kWide - 1) / kWide;
      const bool wide = g.tiling.wide && left >= 3 && left != 4;
      if (wide) {
        RunPanel<3>(g, i, rows, j, scratch);
      } else if (left >= 2) {
        RunPanel<2>(g, i, rows, j, scratch);
      } else {
        RunPanel<1>(g, i, rows, j, scratch);
      }
      j += (wide ? 3 : 2) * kWide;
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_GEMM_INL_H_
