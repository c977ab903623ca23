// What the training benchmarks train: N networks on random data, 64 rows a
// step, Adam with a learning rate for each. The same data, initial weights and
// order of rows for whoever trains them.
#ifndef BENCHMARKS_WORKLOAD_H_
#define BENCHMARKS_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "modelbatch/model/model_spec.h"

namespace modelbatch::benchmarks {

struct Workload {
  static constexpr int64_t kInputs = 64, kOutputs = 10;
  static constexpr int64_t kRows = 64;     // of a step
  static constexpr int64_t kBatches = 16;  // step s trains on batch s % 16
  // A trainer starts again from the initial weights after so many steps:
  // longer training would drive gradients towards denormal numbers.
  static constexpr int kSteps = 20;

  std::string networks;          // "networks 64-128-10"
  std::vector<float> features;   // [kBatches * kRows, kInputs]
  std::vector<int64_t> classes;  // [kBatches * kRows]
  // Of each model: the widths of its hidden layers, with a relu each.
  std::vector<std::vector<int64_t>> hidden;
  std::vector<double> rates;    // of each model
  std::vector<uint64_t> seeds;  // of each model
  // By model: weight [out, in] and bias of each layer.
  std::vector<std::vector<float>> initial;

  int models() const { return static_cast<int>(rates.size()); }
  ModelSpec Spec(int model) const;
  // Widths of the model's layers, from kInputs to kOutputs.
  std::vector<int64_t> Widths(int model) const;
  // Parameters of models [first, last).
  int64_t Parameters(int first, int last) const;
  // Products of one training step of all models; nobody wants the derivative by
  // the input.
  double Flops() const;
};

// "mlp": networks 64-128-10. "mlp_ragged": networks 64-h-h-10, h one of 32, 48,
// 64, 96, 128, 160, 192, 256, drawn for each. Another name ends the program.
Workload MakeWorkload(const std::string& name, int models);

// One way to train models [first, last) of a workload. Failures end the
// program: there is nothing to measure then.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual void Reset() = 0;                  // to the initial weights
  virtual void Run(int steps) = 0;           // returns when all is computed
  virtual void CopyWeights(float* out) = 0;  // all Parameters()
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_WORKLOAD_H_
