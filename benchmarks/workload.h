// What the training benchmarks train: N networks 64-128-10 on random data, 64
// rows a step, Adam with a learning rate for each. The same data, initial
// weights and order of rows for whoever trains them.
#ifndef BENCHMARKS_WORKLOAD_H_
#define BENCHMARKS_WORKLOAD_H_

#include <cstdint>
#include <vector>

#include "modelbatch/model/model_spec.h"

namespace modelbatch::benchmarks {

struct Workload {
  static constexpr int64_t kInputs = 64, kHidden = 128, kOutputs = 10;
  static constexpr int64_t kRows = 64;     // of a step
  static constexpr int64_t kBatches = 16;  // step s trains on batch s % 16
  // A trainer starts again from the initial weights after so many steps:
  // longer training would drive gradients towards denormal numbers.
  static constexpr int kSteps = 20;
  static constexpr int64_t kParameters =
      kHidden * kInputs + kHidden + kOutputs * kHidden + kOutputs;
  // Products of one training step of one model; nobody wants the derivative by
  // the input.
  static constexpr double kFlops =
      static_cast<double>(kRows) *
      (4 * kInputs * kHidden + 6 * kHidden * kOutputs);

  std::vector<float> features;   // [kBatches * kRows, kInputs]
  std::vector<int64_t> classes;  // [kBatches * kRows]
  std::vector<double> rates;     // of each model
  std::vector<uint64_t> seeds;   // of each model
  // By model: weight [kHidden, kInputs], bias, weight [kOutputs, kHidden], bias
  std::vector<std::vector<float>> initial;

  int models() const { return static_cast<int>(rates.size()); }
};

Workload MakeWorkload(int models);
ModelSpec WorkloadSpec();

// One way to train models [first, last) of a workload. Failures end the
// program: there is nothing to measure then.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual void Reset() = 0;                  // to the initial weights
  virtual void Run(int steps) = 0;           // returns when all is computed
  virtual void CopyWeights(float* out) = 0;  // [models, kParameters]
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_WORKLOAD_H_
