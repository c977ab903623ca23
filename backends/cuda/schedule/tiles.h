// Cuts the products of a population into tiles, one a thread block.
//
//   for (const TileList& list : CutIntoTiles(product, problems, max_rows))
//     launch(list.shape, list.tiles)
#ifndef BACKENDS_CUDA_SCHEDULE_TILES_H_
#define BACKENDS_CUDA_SCHEDULE_TILES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "backends/cuda/schedule/problem.h"

namespace modelbatch::cuda {

// The sizes of tile that the product kernels are compiled for: rows x columns.
enum class TileShape { k64x64, k32x32, k64x16, k16x64 };
inline constexpr int kNumTileShapes = 4;

struct TileSize {
  int rows, cols;
};
TileSize SizeOf(TileShape shape);

// By the model's own widths alone, never by rows or other models. (In fp32 the
// bits do not depend on it.)
TileShape ChooseTileShape(Product product, const ProductProblem& problem);

struct TileList {
  TileShape shape;
  std::vector<Tile> tiles;
};

// Tiles that cover every problem once, for up to `max_rows` rows a model; a
// tile beyond the rows of a step computes nothing. One list a shape that is
// needed. Longest sums first, so that the last blocks to run are short ones;
// then model by model, so that what tiles share is in the cache.
std::vector<TileList> CutIntoTiles(Product product,
                                   absl::Span<const ProductProblem> problems,
                                   int64_t max_rows);

// The forward product of a layer that reads the dataset, over the columns of
// all models side by side: where all models see the same rows, it is one
// product, whose tiles are full where a model alone would fill a part of its
// own. In groups of four columns, of which the last of a model may be partly
// beyond its width.
struct WideProduct {
  std::vector<ColumnGroup> groups;  // as many as tiles cover
  std::vector<Tile> tiles;          // of 64x64; `col` / 4 is the first group

  bool used() const { return !tiles.empty(); }
};

// Empty where it does not pay: where the models' own tiles cost no more by a
// count of products and loads, as those of widths that are multiples of 64 do,
// or where it leaves fewer tiles than two a multiprocessor.
WideProduct CutWide(absl::Span<const ProductProblem> problems, int64_t max_rows,
                    int multiprocessors);

// Elements of a state tile: 16 a thread of a block of 256.
inline constexpr int kStateTile = 4096;

// Tiles of up to `most` elements that cover the blocks of
// [offset, offset + size) once.
struct StateBlock {
  int32_t model;
  int64_t offset, size;
};
std::vector<StateTile> CutState(absl::Span<const StateBlock> blocks,
                                int32_t most = kStateTile);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_TILES_H_
