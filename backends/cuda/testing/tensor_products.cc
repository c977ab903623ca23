#include "backends/cuda/testing/tensor_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/schedule/tiles.h"
#include "backends/cuda/testing/rounding.h"
#include "backends/grouped/testing/random_population.h"

namespace modelbatch::cuda::testing {
namespace {

using grouped::testing::Random;

// What lies between the matrices, in inputs and outputs: a NaN that no kernel
// makes.
constexpr uint32_t kCanary = 0x7fc0deadu;

float Canary() {
  float x;
  std::memcpy(&x, &kCanary, sizeof(x));
  return x;
}
uint32_t Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

// A matrix of one model in its buffer, by rows; those of the dataset by index.
struct Matrix {
  const std::vector<float>* data;
  int64_t offset, ld;
  const std::vector<int32_t>* index = nullptr;
  int64_t begin = 0;

  int64_t At(int64_t row, int64_t col) const {
    return offset + (index == nullptr ? row : (*index)[begin + row]) * ld + col;
  }
  float operator()(int64_t row, int64_t col) const {
    return (*data)[At(row, col)];
  }
};

// A group of products of one kind.
struct Group {
  Product product;
  int32_t max_rows = 0;
  bool indexed = false, accumulate = false;
  Activation activation = Activation::kNone;
  std::vector<ProductProblem> problems;
  std::vector<int32_t> rows;  // by model
  std::vector<int32_t> index;
  std::vector<int64_t> begin;
  // params holds w and biases; workspace x, dy, dx, y and what is saved;
  // dataset, where indexed, x; gradients dw. a, b and c are among them.
  std::vector<float> params, workspace, dataset, gradients;

  bool weights() const { return product == Product::kWeightGradient; }
  bool forward() const { return product == Product::kForward; }
  std::vector<float>& a_data() {
    return forward() && indexed ? dataset : workspace;
  }
  std::vector<float>& b_data() {
    return !weights() ? params : indexed ? dataset : workspace;
  }
  std::vector<float>& c_data() { return weights() ? gradients : workspace; }

  int64_t M(const ProductProblem& p) const {
    return weights() ? p.m : rows[p.model];
  }
  int64_t K(const ProductProblem& p) const {
    return weights() ? rows[p.model] : p.k;
  }
  // The operands as the formula has them: a(i, p), b(p, j).
  float A(const ProductProblem& p, int64_t i, int64_t k) {
    const Matrix a = {&a_data(), p.a, p.lda,
                      forward() && indexed ? &index : nullptr, begin[p.model]};
    return weights() ? a(k, i) : a(i, k);
  }
  float B(const ProductProblem& p, int64_t k, int64_t j) {
    const Matrix b = {&b_data(), p.b, p.ldb,
                      weights() && indexed ? &index : nullptr, begin[p.model]};
    return forward() ? b(j, k) : b(k, j);
  }
};

// Space for a matrix of `rows` x `cols` in `data`, somewhere behind what is
// there; aligned, if so asked, as the executor's buffers are.
int64_t Place(Random& random, std::vector<float>* data, int64_t rows,
              int64_t cols, int64_t ld, bool aligned,
              const std::function<float()>& draw) {
  int64_t offset = static_cast<int64_t>(data->size()) + random.Int(1, 4);
  if (aligned) offset = (offset + 3) / 4 * 4;
  data->resize(offset + rows * ld + 1, Canary());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) (*data)[offset + i * ld + j] = draw();
  }
  return offset;
}

constexpr int64_t kDatasetRows = 40;

Group AnyGroup(Random& random, Product product, int models,
               const std::function<float()>& draw) {
  Group g;
  g.product = product;
  g.max_rows = static_cast<int32_t>(random.Int(1, 80));
  g.indexed = product != Product::kInputGradient && random.OneIn(2);
  const bool aligned = random.OneIn(2);
  const auto width = [&] {
    return static_cast<int32_t>(random.OneIn(5) ? 1 : random.Width());
  };
  const int32_t features = width();  // of the dataset
  if (g.indexed) {
    Place(random, &g.dataset, kDatasetRows, features, features, false, draw);
    g.dataset.erase(g.dataset.begin(),
                    g.dataset.end() - 1 - kDatasetRows * features);
  }
  for (int m = 0; m < models; ++m) {
    ProductProblem p;
    p.model = m;
    g.rows.push_back(
        random.OneIn(4) ? 0 : static_cast<int32_t>(random.Int(1, g.max_rows)));
    g.begin.push_back(static_cast<int64_t>(g.index.size()));
    for (int i = 0; i < g.rows.back(); ++i) {
      g.index.push_back(static_cast<int32_t>(random.Int(0, kDatasetRows - 1)));
    }
    const int32_t in = g.indexed ? features : width();
    const int32_t out = width();
    const auto stride = [&](int32_t cols) {
      const auto ld = cols + static_cast<int32_t>(random.Int(0, 4));
      return aligned ? (ld + 3) / 4 * 4 : ld;
    };
    // x or dy, of all rows there may be.
    const auto activations = [&](int32_t cols, int32_t* ld) {
      *ld = stride(cols);
      return Place(random, &g.workspace, g.max_rows, cols, *ld, aligned, draw);
    };
    const auto x = [&](int32_t* ld) {
      if (!g.indexed) return activations(in, ld);
      *ld = features;
      return int64_t{0};
    };
    if (g.weights()) {
      p.m = out, p.n = in;
      p.a = activations(out, &p.lda);
      p.b = x(&p.ldb);
      p.c = Place(random, &g.gradients, out, 0, in, aligned, draw);
      p.ldc = in;
    } else {
      p.n = g.forward() ? out : in;
      p.k = g.forward() ? in : out;
      p.a = g.forward() ? x(&p.lda) : activations(out, &p.lda);
      p.b = Place(random, &g.params, out, in, in, aligned, draw);
      p.ldb = in;
      p.c = activations(p.n, &p.ldc);
    }
    g.problems.push_back(p);
  }
  return g;
}

// Launches these tiles of the group; what the outputs' buffer is then.
std::vector<float> Multiply(const ProductsDevice& device, Group& g,
                            Precision precision,
                            const std::vector<TileList>& lists) {
  auto opened = device.open();
  if (!opened.ok()) {
    ADD_FAILURE() << opened.status();
    return {};
  }
  Gpu& gpu = **opened;
  const auto upload = [&gpu](const auto& values, auto* array) {
    EXPECT_TRUE(
        array->Allocate(&gpu, static_cast<int64_t>(values.size())).ok());
    EXPECT_TRUE(gpu.Upload(array->data(), values.data(), array->bytes()).ok());
  };
  DeviceArray<float> params, workspace, dataset, gradients;
  upload(g.params, &params);
  upload(g.workspace, &workspace);
  upload(g.dataset, &dataset);
  upload(g.gradients, &gradients);
  DeviceArray<ProductProblem> problems;
  DeviceArray<int32_t> rows, index;
  DeviceArray<int64_t> begin;
  upload(g.problems, &problems);
  upload(g.rows, &rows);
  upload(g.index, &index);
  upload(g.begin, &begin);
  ProductArgs args;
  args.problems = problems.data();
  args.rows = rows.data();
  args.params = params.data();
  args.workspace = workspace.data();
  args.a = g.forward() && g.indexed ? dataset.data() : workspace.data();
  args.b = !g.weights() ? params.data()
           : g.indexed  ? dataset.data()
                        : workspace.data();
  args.c = g.weights() ? gradients.data() : workspace.data();
  args.activation = g.activation;
  args.accumulate = g.accumulate;
  if (g.indexed) {
    args.index = index.data();
    args.begin = begin.data();
  }
  for (const TileList& list : lists) {
    DeviceArray<Tile> tiles;
    upload(list.tiles, &tiles);
    args.tiles = tiles.data();
    const absl::Status status = gpu.Launch(
        gpu.kernels().products[static_cast<int>(precision)][static_cast<int>(
            g.product)][static_cast<int>(list.shape)],
        tiles.size(), args);
    EXPECT_TRUE(status.ok()) << status;
  }
  std::vector<float> out(g.c_data().size());
  EXPECT_TRUE(gpu.Download(out.data(), args.c,
                           static_cast<int64_t>(out.size() * sizeof(float)))
                  .ok());
  EXPECT_TRUE(gpu.Synchronize().ok());
  if (device.check) device.check(gpu);
  return out;
}

std::vector<float> Multiply(const ProductsDevice& device, Group& g,
                            Precision precision) {
  return Multiply(device, g, precision,
                  CutIntoTiles(g.product, g.problems, g.max_rows));
}

}  // namespace

// Integers that are exact in eight bits, of sums that are exact in fp32: no
// rounding hides an element at a wrong place, none too many or too few.
void TestIntegers(const ProductsDevice& device, Precision precision,
                  Product product) {
  Random random(7 + static_cast<uint64_t>(product));
  const auto draw = [&random] {
    return static_cast<float>(random.Int(-128, 128));
  };
  int elements = 0;
  for (int round = 0; round < 120; ++round) {
    Group g =
        AnyGroup(random, product, static_cast<int>(random.Int(1, 4)), draw);
    g.accumulate = product == Product::kInputGradient && random.OneIn(2);
    if (!g.weights() && random.OneIn(2)) g.activation = Activation::kRelu;
    for (ProductProblem& p : g.problems) {
      if (g.forward() && random.OneIn(2)) {
        p.bias = Place(random, &g.params, 1, p.n, p.n, false, draw);
      }
      const bool derivative = product == Product::kInputGradient &&
                              g.activation != Activation::kNone;
      if (derivative || (g.forward() && random.OneIn(2))) {
        p.ld_saved = p.n + static_cast<int32_t>(random.Int(0, 3));
        p.saved = Place(random, &g.workspace, g.max_rows, p.n, p.ld_saved,
                        random.OneIn(2), draw);
      }
    }
    // Outputs are poison until they are written.
    std::vector<float> expected = g.c_data();
    for (const ProductProblem& p : g.problems) {
      for (int64_t i = 0; i < (g.weights() ? p.m : g.max_rows); ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          float& c = g.c_data()[p.c + i * p.ldc + j];
          if (!g.accumulate) c = Canary();
          expected[p.c + i * p.ldc + j] = c;
        }
      }
    }
    for (const ProductProblem& p : g.problems) {
      if (g.rows[p.model] == 0) continue;  // keeps its poison
      for (int64_t i = 0; i < g.M(p); ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          int64_t exact = 0;
          for (int64_t k = 0; k < g.K(p); ++k) {
            exact += static_cast<int64_t>(g.A(p, i, k)) *
                     static_cast<int64_t>(g.B(p, k, j));
          }
          ASSERT_LT(std::abs(exact), 1 << 23);
          auto sum = static_cast<float>(exact);
          float& c = expected[p.c + i * p.ldc + j];
          const int64_t saved = p.saved + i * p.ld_saved + j;
          if (g.forward()) {
            if (p.bias >= 0) sum += g.params[p.bias + j];
            if (p.saved >= 0) expected[saved] = sum;
            if (g.activation == Activation::kRelu) sum = std::max(0.0f, sum);
          } else if (!g.weights()) {
            if (p.saved >= 0 && g.workspace[saved] <= 0) sum = 0;
            if (g.accumulate) sum += c;
          }
          c = sum;
          ++elements;
        }
      }
    }
    const std::vector<float> found = Multiply(device, g, precision);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t e = 0; e < found.size(); ++e) {
      ASSERT_EQ(Bits(found[e]), Bits(expected[e]))
          << "round " << round << ", element " << e << ": " << found[e]
          << ", expected " << expected[e];
    }
  }
  EXPECT_GT(elements, 50000);  // it tested something
}

// The two bounds of docs/arithmetic.md: by the operands that are multiplied, of
// which only the sums in fp32 are left, and by those that were given.
void TestErrorBounds(const ProductsDevice& device, Precision precision,
                     Product product) {
  Random random(17 + static_cast<uint64_t>(product));
  const auto draw = [&random] { return random.Normal(); };
  const double unit = std::ldexp(1, -BitsOf(precision));
  double squares = 0, expected_squares = 0;
  for (int round = 0; round < 30; ++round) {
    Group g = AnyGroup(random, product, 3, draw);
    const std::vector<float> found = Multiply(device, g, precision);
    for (const ProductProblem& p : g.problems) {
      if (g.rows[p.model] == 0) continue;
      for (int64_t i = 0; i < g.M(p); ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          double sum = 0, given = 0, size = 0;
          for (int64_t k = 0; k < g.K(p); ++k) {
            const double a = g.A(p, i, k), b = g.B(p, k, j);
            sum += RoundedTo(precision, a) * RoundedTo(precision, b);
            given += a * b;
            size += std::abs(a * b);
          }
          const double x = found[p.c + i * p.ldc + j];
          // An mma takes eight terms or more; 2^-21 of their size is what
          // docs/arithmetic.md leaves it.
          const double mmas = static_cast<double>(g.K(p)) / 8 + 1;
          const double sums = mmas * std::ldexp(1.01, -21) * size;
          ASSERT_LE(std::abs(x - sum), sums) << "round " << round;
          ASSERT_LE(std::abs(x - given), sums + 2.01 * unit * size);
          squares += (x - given) * (x - given);
          // Fp32 rounds no operand, but each of k partial sums, whose squares
          // grow by one a term: k^2 / 2 together.
          const auto terms = static_cast<double>(g.K(p));
          expected_squares +=
              unit * unit *
              (precision == Precision::kFp32 ? terms * terms / 2 : terms);
        }
      }
    }
  }
  // As if each term's two roundings were independent, up to `unit` each: no
  // worse, and no better either, or nothing was rounded.
  const double ratio = std::sqrt(squares / expected_squares);
  EXPECT_LT(ratio, 1);
  EXPECT_GT(ratio, 0.2);
}

// The promise, within a precision: among others a model has the bits that it
// has alone, whatever they are.
void TestAmongOthers(const ProductsDevice& device, Precision precision,
                     Product product) {
  Random random(27 + static_cast<uint64_t>(product));
  const auto draw = [&random] { return random.Normal(); };
  Group all = AnyGroup(random, product, 48, draw);
  // One of them is of no use to anybody.
  for (ProductProblem& p : all.problems) {
    if (p.model == 5 && !all.indexed) {
      all.a_data()[p.a] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  const std::vector<float> together = Multiply(device, all, precision);
  for (int m = 0; m < 48; ++m) {
    Group one = all;
    one.problems = {all.problems[m]};
    const std::vector<float> alone = Multiply(device, one, precision);
    const ProductProblem& p = all.problems[m];
    if (all.rows[m] == 0) continue;
    for (int64_t i = 0; i < all.M(p); ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        const int64_t e = p.c + i * p.ldc + j;
        ASSERT_EQ(Bits(together[e]), Bits(alone[e])) << "model " << m;
      }
    }
  }
}

// Every tile shape has the same sums: the widths decide which one is used, and
// may be cut differently one day.
void TestTiles(const ProductsDevice& device, Precision precision,
               Product product) {
  Random random(37 + static_cast<uint64_t>(product));
  const auto draw = [&random] { return random.Normal(); };
  for (int round = 0; round < 8; ++round) {
    Group g = AnyGroup(random, product, 1, draw);
    if (g.rows[0] == 0) continue;
    std::vector<std::vector<float>> found;
    for (int shape = 0; shape < kNumTileShapes; ++shape) {
      TileList list = {static_cast<TileShape>(shape), {}};
      const TileSize size = SizeOf(list.shape);
      const ProductProblem& p = g.problems[0];
      for (int32_t i = 0; i < g.M(p); i += size.rows) {
        for (int32_t j = 0; j < p.n; j += size.cols) {
          list.tiles.push_back({0, i, j});
        }
      }
      found.push_back(Multiply(device, g, precision, {list}));
    }
    for (const std::vector<float>& other : found) {
      ASSERT_EQ(std::memcmp(other.data(), found[0].data(),
                            other.size() * sizeof(float)),
                0);
    }
  }
}

}  // namespace modelbatch::cuda::testing
