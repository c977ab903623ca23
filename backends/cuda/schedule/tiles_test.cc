// The promise: a tile list computes every element of every product once and
// touches nothing else, whatever the widths and the rows of a step. Lists are
// run with plain loops.
#include "backends/cuda/schedule/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace modelbatch::cuda {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int32_t Int(int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(engine_);
  }
  float Normal() { return std::normal_distribution<float>()(engine_); }
  // 1 to 150, those around the sizes of tiles more often.
  int32_t Width() {
    static constexpr int32_t kEdges[] = {1,  15, 16, 17, 31,  32,
                                         33, 63, 64, 65, 127, 128};
    return Int(0, 1) == 0 ? kEdges[Int(0, 11)] : Int(1, Int(1, 150));
  }

 private:
  std::mt19937_64 engine_;
};

constexpr Product kProducts[] = {Product::kForward, Product::kInputGradient,
                                 Product::kWeightGradient};

// A group of products with their rows in one step. Matrices lie behind one
// another with gaps of any size, so that nothing is aligned.
struct Group {
  std::vector<ProductProblem> problems;
  std::vector<int32_t> rows;  // by model
  int32_t max_rows = 1;
  int64_t size_a = 0, size_b = 0, size_c = 0;
};

struct Sizes {
  int32_t m, n, k;
};
Sizes SizesOf(Product product, const ProductProblem& p, int32_t rows) {
  if (product == Product::kWeightGradient) return {p.m, p.n, rows};
  return {rows, p.n, p.k};
}

// Where element (i, p) of a and (p, j) of b lie.
int64_t IndexA(Product product, const ProductProblem& p, int64_t i, int64_t k) {
  return product == Product::kWeightGradient ? p.a + k * p.lda + i
                                             : p.a + i * p.lda + k;
}
int64_t IndexB(Product product, const ProductProblem& p, int64_t k, int64_t j) {
  return product == Product::kForward ? p.b + j * p.ldb + k
                                      : p.b + k * p.ldb + j;
}

Group AnyGroup(Product product, Random& random, int32_t most_rows) {
  Group group;
  group.max_rows = random.Int(1, most_rows);
  const int models = random.Int(1, 8);
  for (int m = 0; m < models; ++m) {
    group.rows.push_back(random.Int(0, 3) == 0 ? 0
                                               : random.Int(1, group.max_rows));
    const int32_t in = random.Width(), out = random.Width();
    ProductProblem p;
    p.model = m;
    const int32_t pad = random.Int(0, 5);
    const auto take = [&](int64_t& size, int64_t rows, int32_t ld) {
      const int64_t offset = size + random.Int(0, 3);
      size = offset + rows * ld;
      return offset;
    };
    switch (product) {
      case Product::kForward:
        p.n = out, p.k = in;
        p.lda = in + pad, p.ldb = in, p.ldc = out + pad;
        p.a = take(group.size_a, group.max_rows, p.lda);
        p.b = take(group.size_b, out, p.ldb);
        p.c = take(group.size_c, group.max_rows, p.ldc);
        break;
      case Product::kInputGradient:
        p.n = in, p.k = out;
        p.lda = out + pad, p.ldb = in, p.ldc = in + pad;
        p.a = take(group.size_a, group.max_rows, p.lda);
        p.b = take(group.size_b, out, p.ldb);
        p.c = take(group.size_c, group.max_rows, p.ldc);
        break;
      case Product::kWeightGradient:
        p.m = out, p.n = in;
        p.lda = out + pad, p.ldb = in + pad, p.ldc = in;
        p.a = take(group.size_a, group.max_rows, p.lda);
        p.b = take(group.size_b, group.max_rows, p.ldb);
        p.c = take(group.size_c, out, p.ldc);
        break;
    }
    group.problems.push_back(p);
  }
  return group;
}

// Calls f(problem, i, j) for each element that the lists compute.
template <typename F>
void RunTiles(Product product, const Group& group, F f) {
  for (const TileList& list :
       CutIntoTiles(product, group.problems, group.max_rows)) {
    const TileSize size = SizeOf(list.shape);
    for (const Tile& tile : list.tiles) {
      const ProductProblem& p = group.problems[tile.problem];
      const Sizes s = SizesOf(product, p, group.rows[p.model]);
      if (group.rows[p.model] == 0) continue;
      for (int32_t i = tile.row; i < std::min(s.m, tile.row + size.rows); ++i) {
        for (int32_t j = tile.col; j < std::min(s.n, tile.col + size.cols);
             ++j) {
          f(p, i, j);
        }
      }
    }
  }
}

TEST(CutIntoTiles, EveryElementOnceAndNoOther) {
  Random random(1);
  for (int round = 0; round < 1500; ++round) {
    for (const Product product : kProducts) {
      const Group group = AnyGroup(product, random, 140);
      std::vector<int> written(group.size_c, 0);
      RunTiles(product, group, [&](const ProductProblem& p, int i, int j) {
        const int64_t at = p.c + static_cast<int64_t>(i) * p.ldc + j;
        ASSERT_GE(at, 0);
        ASSERT_LT(at, group.size_c);
        ++written[at];
      });
      int64_t expected = 0;
      for (const ProductProblem& p : group.problems) {
        const int32_t rows = group.rows[p.model];
        if (rows == 0) continue;
        const Sizes s = SizesOf(product, p, rows);
        for (int32_t i = 0; i < s.m; ++i) {
          for (int32_t j = 0; j < s.n; ++j) {
            ASSERT_EQ(written[p.c + static_cast<int64_t>(i) * p.ldc + j], 1)
                << "round " << round << ", model " << p.model << " (" << i
                << ", " << j << ")";
          }
        }
        expected += static_cast<int64_t>(s.m) * s.n;
      }
      int64_t total = 0;
      for (const int count : written) total += count;
      ASSERT_EQ(total, expected) << "something outside was written";
    }
  }
}

// The products that come of the lists are those of a plain triple loop in
// double.
TEST(CutIntoTiles, GivesTheProducts) {
  Random random(2);
  for (int round = 0; round < 40; ++round) {
    for (const Product product : kProducts) {
      const Group group = AnyGroup(product, random, 40);
      std::vector<float> a(group.size_a), b(group.size_b);
      std::vector<float> c(group.size_c, 0);
      for (float& x : a) x = random.Normal();
      for (float& x : b) x = random.Normal();
      RunTiles(product, group, [&](const ProductProblem& p, int i, int j) {
        float sum = 0;
        const Sizes s = SizesOf(product, p, group.rows[p.model]);
        for (int32_t k = 0; k < s.k; ++k) {
          sum = std::fma(a[IndexA(product, p, i, k)],
                         b[IndexB(product, p, k, j)], sum);
        }
        c[p.c + static_cast<int64_t>(i) * p.ldc + j] = sum;
      });
      for (const ProductProblem& p : group.problems) {
        const Sizes s = SizesOf(product, p, group.rows[p.model]);
        if (group.rows[p.model] == 0) continue;
        for (int32_t i = 0; i < s.m; ++i) {
          for (int32_t j = 0; j < s.n; ++j) {
            double sum = 0, size = 0;
            for (int32_t k = 0; k < s.k; ++k) {
              const double term =
                  static_cast<double>(a[IndexA(product, p, i, k)]) *
                  b[IndexB(product, p, k, j)];
              sum += term;
              size += std::fabs(term);
            }
            // Higham 2002, 3.1: k roundings.
            ASSERT_NEAR(c[p.c + static_cast<int64_t>(i) * p.ldc + j], sum,
                        (s.k + 1) * 0x1p-24 * size);
          }
        }
      }
    }
  }
}

// What independence asks of a configuration: the tiles of a model are the same
// alone and among others.
TEST(CutIntoTiles, AModelsTilesDoNotDependOnTheOthers) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    for (const Product product : kProducts) {
      const Group group = AnyGroup(product, random, 140);
      const auto lists = CutIntoTiles(product, group.problems, group.max_rows);
      for (size_t p = 0; p < group.problems.size(); ++p) {
        const auto alone =
            CutIntoTiles(product, absl::MakeConstSpan(&group.problems[p], 1),
                         group.max_rows);
        ASSERT_EQ(alone.size(), 1u);
        std::vector<std::pair<int, int>> among;
        for (const TileList& list : lists) {
          for (const Tile& tile : list.tiles) {
            if (tile.problem != static_cast<int32_t>(p)) continue;
            ASSERT_EQ(list.shape, alone[0].shape);
            among.emplace_back(tile.row, tile.col);
          }
        }
        ASSERT_EQ(among.size(), alone[0].tiles.size());
        for (size_t t = 0; t < among.size(); ++t) {
          EXPECT_EQ(among[t].first, alone[0].tiles[t].row);
          EXPECT_EQ(among[t].second, alone[0].tiles[t].col);
        }
      }
    }
  }
}

TEST(CutIntoTiles, TheLongestSumsComeFirstThenModelByModel) {
  std::vector<ProductProblem> problems(3);
  for (int m = 0; m < 3; ++m) {
    problems[m].model = m;
    problems[m].n = 100;
    problems[m].k = m == 2 ? 500 : 70;
  }
  const auto lists = CutIntoTiles(Product::kForward, problems, 100);
  ASSERT_EQ(lists.size(), 1u);
  std::vector<int32_t> order;
  for (const Tile& tile : lists[0].tiles) order.push_back(tile.problem);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1}));
}

TEST(CutState, EveryElementOnce) {
  Random random(4);
  for (int round = 0; round < 1000; ++round) {
    std::vector<StateBlock> blocks;
    int64_t size = 0;
    const auto models = static_cast<int32_t>(random.Int(1, 6));
    for (int32_t m = 0; m < models; ++m) {
      size += random.Int(0, 20);
      blocks.push_back({m, size, random.Int(0, 3) * 2048 + random.Int(0, 2)});
      size += blocks.back().size;
    }
    const int32_t most = round % 2 == 0 ? kStateTile : 1000;
    std::vector<int> owner(size, -1);
    for (const StateTile& tile : CutState(blocks, most)) {
      EXPECT_GT(tile.count, 0);
      EXPECT_LE(tile.count, most);
      for (int64_t e = tile.offset; e < tile.offset + tile.count; ++e) {
        ASSERT_LT(e, size);
        ASSERT_EQ(owner[e], -1);
        owner[e] = tile.model;
      }
    }
    for (size_t m = 0; m < blocks.size(); ++m) {
      for (int64_t e = 0; e < blocks[m].size; ++e) {
        ASSERT_EQ(owner[blocks[m].offset + e], static_cast<int>(m));
      }
    }
    int64_t covered = 0, expected = 0;
    for (const int o : owner) covered += o >= 0;
    for (const StateBlock& block : blocks) expected += block.size;
    EXPECT_EQ(covered, expected);
  }
}

// Products of the widths, as of a layer that reads the dataset.
std::vector<ProductProblem> SharedProducts(const std::vector<int32_t>& widths) {
  std::vector<ProductProblem> problems;
  for (const int32_t width : widths) {
    ProductProblem p;
    p.model = static_cast<int32_t>(problems.size());
    p.n = width;
    p.k = 20;
    problems.push_back(p);
  }
  return problems;
}

TEST(CutWide, WritesEveryElementOnce) {
  Random random(7);
  int used = 0;
  for (int round = 0; round < 500; ++round) {
    std::vector<int32_t> widths(random.Int(1, 40));
    for (int32_t& width : widths) width = random.Width();
    const std::vector<ProductProblem> problems = SharedProducts(widths);
    const int32_t rows = random.Int(1, 200);
    const WideProduct wide = CutWide(problems, rows, 1);
    if (!wide.used()) continue;
    ++used;
    std::vector<std::vector<int>> written;
    for (const int32_t width : widths) {
      written.emplace_back(static_cast<size_t>(rows) * width, 0);
    }
    const TileSize size = SizeOf(TileShape::k64x64);
    for (const Tile& tile : wide.tiles) {
      ASSERT_EQ(tile.col % size.cols, 0);
      const size_t first = tile.col / kGroupCols;
      ASSERT_LE(first + size.cols / kGroupCols, wide.groups.size());
      // What the tile reads its common sizes of.
      ASSERT_EQ(tile.problem, wide.groups[first].problem);
      for (size_t g = first; g < first + size.cols / kGroupCols; ++g) {
        const ColumnGroup& group = wide.groups[g];
        if (group.problem < 0) continue;
        const int32_t n = problems[group.problem].n;
        ASSERT_LT(group.col, n);
        for (int32_t j = group.col; j < std::min(n, group.col + kGroupCols);
             ++j) {
          for (int32_t i = tile.row; i < std::min(rows, tile.row + size.rows);
               ++i) {
            ++written[group.problem][static_cast<size_t>(i) * n + j];
          }
        }
      }
    }
    for (const std::vector<int>& counts : written) {
      ASSERT_TRUE(std::all_of(counts.begin(), counts.end(),
                              [](int count) { return count == 1; }));
    }
  }
  EXPECT_GT(used, 300);  // the test tested something
}

TEST(CutWide, IsForModelsThatFillNoTilesOfTheirOwn) {
  const auto used = [](int32_t width, int models, int multiprocessors) {
    return CutWide(SharedProducts(std::vector<int32_t>(models, width)), 64,
                   multiprocessors)
        .used();
  };
  // 10 columns are 3 groups of 16; 40 are 40 of 64.
  for (const int32_t width : {10, 16, 24, 32, 40, 72}) {
    EXPECT_TRUE(used(width, 100, 1)) << width;
  }
  for (const int32_t width : {61, 64, 128, 256}) {
    EXPECT_FALSE(used(width, 100, 1)) << width;
  }
  // As many tiles as keep a device at work: 1000 models of 16 columns are 250.
  EXPECT_TRUE(used(16, 1000, 125));
  EXPECT_FALSE(used(16, 1000, 126));
}

}  // namespace
}  // namespace modelbatch::cuda
