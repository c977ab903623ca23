#include "benchmarks/workload.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "modelbatch/model/initialize.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/util/philox.h"

namespace modelbatch::benchmarks {

ModelSpec WorkloadSpec() {
  ModelSpec spec({Workload::kInputs});
  spec.Linear(Workload::kHidden).Relu().Linear(Workload::kOutputs);
  return spec;
}

Workload MakeWorkload(int models) {
  Workload workload;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int64_t> uniform(0, Workload::kOutputs - 1);
  const int64_t rows = Workload::kBatches * Workload::kRows;
  for (int64_t i = 0; i < rows * Workload::kInputs; ++i) {
    workload.features.push_back(normal(random));
  }
  for (int64_t i = 0; i < rows; ++i) {
    workload.classes.push_back(uniform(random));
  }
  const absl::StatusOr<Layout> layout = InferLayout(WorkloadSpec());
  if (!layout.ok()) {
    std::fprintf(stderr, "%s\n", layout.status().ToString().c_str());
    std::exit(1);
  }
  for (int i = 0; i < models; ++i) {
    workload.rates.push_back(1e-3 * std::pow(10.0, (i % 16) / 16.0 - 0.5));
    workload.seeds.push_back(DeriveSeed(5, static_cast<uint64_t>(i)));
    std::vector<float> values;
    for (size_t p = 0; p < layout->parameters.size(); ++p) {
      const Tensor value =
          InitialValue(*layout, static_cast<int>(p), workload.seeds.back());
      values.insert(values.end(), value.data<float>(),
                    value.data<float>() + value.size());
    }
    workload.initial.push_back(std::move(values));
  }
  return workload;
}

}  // namespace modelbatch::benchmarks
