// Populations for the tests of grouped backends: graphs, widths, rows, losses
// and hyper-parameters drawn from a seed, so that thousands of shapes come by,
// odd ones more often than round ones.
#ifndef BACKENDS_GROUPED_TESTING_RANDOM_POPULATION_H_
#define BACKENDS_GROUPED_TESTING_RANDOM_POPULATION_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "modelbatch/backend/backend.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::grouped::testing {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  int64_t Int(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  bool OneIn(int64_t n) { return Int(1, n) == 1; }
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine_);
  }
  float Normal() { return std::normal_distribution<float>()(engine_); }
  template <typename T>
  T Pick(const std::vector<T>& items) {
    return items[Int(0, static_cast<int64_t>(items.size()) - 1)];
  }
  // 1 to 150: small ones, those around the sizes of tiles, any.
  int64_t Width();

 private:
  std::mt19937_64 engine_;
};

// Any of the losses with attributes; classes or values as it needs them.
LossSpec AnyLoss(Random& random, int64_t outputs);

struct RandomPopulation {
  explicit RandomPopulation(uint64_t seed);

  // Of several models of one graph with widths and rates of their own.
  CompileRequest request;
  int64_t outputs = 0;
  Tensor features, targets;  // of `dataset_rows` rows
  int64_t dataset_rows = 0;

  // Rows of a step: shared, or each model its own, none included. At most
  // max_rows each, or, for an evaluation, more.
  struct Rows {
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets;
    RowSet set() const { return {rows, offsets}; }
  };
  Rows AnyRows(Random& random, bool for_evaluation) const;
  // What the optimizer needs, and clipping more often than not.
  std::vector<Column> AnyColumns(Random& random,
                                 const std::string& optimizer) const;
};

}  // namespace modelbatch::grouped::testing

#endif  // BACKENDS_GROUPED_TESTING_RANDOM_POPULATION_H_
