#include "backends/cuda/schedule/tiles.h"

#include <algorithm>
#include <numeric>

#include "modelbatch/util/round_up.h"

namespace modelbatch::cuda {

TileSize SizeOf(TileShape shape) {
  switch (shape) {
    case TileShape::k64x64:
      return {64, 64};
    case TileShape::k32x32:
      return {32, 32};
    case TileShape::k64x16:
      return {64, 16};
    case TileShape::k16x64:
      return {16, 64};
  }
  return {64, 64};
}

TileShape ChooseTileShape(Product product, const ProductProblem& problem) {
  // Rows come in batches: as many as features count for a whole tile.
  const bool rows_known = product == Product::kWeightGradient;
  const int32_t m = rows_known ? problem.m : 64, n = problem.n;
  if (n <= 16 && m > 16) return TileShape::k64x16;
  if (m <= 16 && n > 16) return TileShape::k16x64;
  if (n <= 32 || m <= 32) return TileShape::k32x32;
  return TileShape::k64x64;
}

std::vector<TileList> CutIntoTiles(Product product,
                                   absl::Span<const ProductProblem> problems,
                                   int64_t max_rows) {
  std::vector<int32_t> order(problems.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return problems[a].k > problems[b].k;
  });
  std::vector<TileList> lists;
  for (int s = 0; s < kNumTileShapes; ++s) {
    TileList list{static_cast<TileShape>(s), {}};
    const TileSize size = SizeOf(list.shape);
    for (const int32_t p : order) {
      const ProductProblem& problem = problems[p];
      if (ChooseTileShape(product, problem) != list.shape) continue;
      const int64_t m =
          product == Product::kWeightGradient ? problem.m : max_rows;
      for (int64_t row = 0; row < m; row += size.rows) {
        for (int64_t col = 0; col < problem.n; col += size.cols) {
          list.tiles.push_back(
              {p, static_cast<int32_t>(row), static_cast<int32_t>(col)});
        }
      }
    }
    if (!list.tiles.empty()) lists.push_back(std::move(list));
  }
  return lists;
}

namespace {

// Of a tile, per step of k: its products, and what its loads cost beside them,
// about eight products an element (from global to shared memory; what threads
// read there is about as much for all shapes).
int64_t Cost(const TileSize& size) {
  return size.rows * size.cols + 8 * (size.rows + size.cols);
}

}  // namespace

WideProduct CutWide(absl::Span<const ProductProblem> problems, int64_t max_rows,
                    int multiprocessors) {
  constexpr TileShape kShape = TileShape::k64x64;
  const TileSize size = SizeOf(kShape);
  const int per_tile = size.cols / kGroupCols;
  WideProduct wide;
  for (size_t p = 0; p < problems.size(); ++p) {
    for (int32_t col = 0; col < problems[p].n; col += kGroupCols) {
      wide.groups.push_back({static_cast<int32_t>(p), col});
    }
  }
  wide.groups.resize(RoundUp(wide.groups.size(), per_tile));
  for (size_t group = 0; group < wide.groups.size(); group += per_tile) {
    for (int64_t row = 0; row < max_rows; row += size.rows) {
      wide.tiles.push_back({wide.groups[group].problem,
                            static_cast<int32_t>(row),
                            static_cast<int32_t>(group * kGroupCols)});
    }
  }
  int64_t own = 0;
  for (const TileList& list :
       CutIntoTiles(Product::kForward, problems, max_rows)) {
    own += static_cast<int64_t>(list.tiles.size()) * Cost(SizeOf(list.shape));
  }
  const auto tiles = static_cast<int64_t>(wide.tiles.size());
  if (tiles * Cost(size) >= own || tiles < 2 * multiprocessors) return {};
  return wide;
}

std::vector<StateTile> CutState(absl::Span<const StateBlock> blocks,
                                int32_t most) {
  std::vector<StateTile> tiles;
  for (const StateBlock& block : blocks) {
    for (int64_t e = 0; e < block.size; e += most) {
      tiles.push_back(
          {block.offset + e, block.model,
           static_cast<int32_t>(std::min<int64_t>(most, block.size - e))});
    }
  }
  return tiles;
}

}  // namespace modelbatch::cuda
