// A workload made: networks, data, initial weights, learning rates and the rows
// of every step, the same for whoever trains them.
//
//   const Workload workload = MakeWorkload(FindWorkload("mlp_small"), 32);
//
// Optimizer: Adam with torch.optim's defaults and a learning rate for each
// model. Everything is fp32. Features and targets are random.
#ifndef BENCHMARKS_WORKLOAD_H_
#define BENCHMARKS_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/workload_table.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/routing/routed_rows.h"

namespace modelbatch::benchmarks {

struct Workload {
  static constexpr int kBatches = 16;  // step s trains on batch s % 16
  // A trainer starts again from the initial weights after so many steps:
  // longer training would drive gradients towards denormal numbers.
  static constexpr int kSteps = 20;

  std::string name, networks;
  Shape input;
  int64_t classes = 0;
  int64_t max_rows = 0;
  std::vector<float> features;  // [kBatches * max_rows, input]
  std::vector<int64_t> labels;  // [kBatches * max_rows]
  std::vector<RoutedRows> batches;

  // Of each model.
  std::vector<ModelSpec> specs;
  std::vector<Layout> layouts;
  std::vector<double> rates;
  std::vector<uint64_t> seeds;
  std::vector<std::vector<float>> initial;  // its parameters, one by one

  int models() const { return static_cast<int>(rates.size()); }
  int64_t num_rows() const { return static_cast<int64_t>(labels.size()); }
  // Of the models in [first, last).
  int64_t Parameters(int first, int last) const;
  // Of all models together in one step.
  int64_t RowsPerStep() const;
  // Products of one training step of all models, without the derivative by the
  // input, which nobody wants.
  double Flops() const;
  // Of the forward pass alone.
  double ForwardFlops() const;
  // Whether models draw masks that another library draws otherwise.
  bool HasDropout() const;
};

// Ends the program when a model of the entry cannot be.
Workload MakeWorkload(const WorkloadEntry& entry, int models);

// The same with p = 0 everywhere.
Workload WithoutDropout(Workload workload);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_WORKLOAD_H_
