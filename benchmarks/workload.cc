#include "benchmarks/workload.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "modelbatch/model/initialize.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/util/philox.h"

namespace modelbatch::benchmarks {
namespace {

template <typename... Args>
[[noreturn]] void Fail(const char* format, Args... args) {
  std::fprintf(stderr, format, args...);
  std::exit(1);
}

// Sets `networks` and `hidden`.
void SetNetworks(const std::string& name, int models, Workload* workload) {
  if (name == "mlp") {
    workload->networks = "networks 64-128-10";
    workload->hidden.assign(models, {128});
  } else if (name == "mlp_ragged") {
    workload->networks = "networks 64-h-h-10, h from 32 to 256";
    constexpr int64_t kWidths[] = {32, 48, 64, 96, 128, 160, 192, 256};
    std::mt19937 random(2);
    for (int i = 0; i < models; ++i) {
      const int64_t h = kWidths[random() % std::size(kWidths)];
      workload->hidden.push_back({h, h});
    }
  } else {
    Fail("no workload \"%s\"; there are: mlp, mlp_ragged\n", name.c_str());
  }
}

}  // namespace

ModelSpec Workload::Spec(int model) const {
  ModelSpec spec({kInputs});
  for (const int64_t width : hidden[model]) spec.Linear(width).Relu();
  spec.Linear(kOutputs);
  return spec;
}

std::vector<int64_t> Workload::Widths(int model) const {
  std::vector<int64_t> widths = {kInputs};
  widths.insert(widths.end(), hidden[model].begin(), hidden[model].end());
  widths.push_back(kOutputs);
  return widths;
}

int64_t Workload::Parameters(int first, int last) const {
  int64_t parameters = 0;
  for (int i = first; i < last; ++i) {
    parameters += static_cast<int64_t>(initial[i].size());
  }
  return parameters;
}

double Workload::Flops() const {
  double flops = 0;
  for (int i = 0; i < models(); ++i) {
    const std::vector<int64_t> widths = Widths(i);
    for (size_t l = 0; l + 1 < widths.size(); ++l) {
      flops += static_cast<double>(kRows) * (l == 0 ? 4 : 6) * widths[l] *
               widths[l + 1];
    }
  }
  return flops;
}

Workload MakeWorkload(const std::string& name, int models) {
  Workload workload;
  SetNetworks(name, models, &workload);
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
  for (int i = 0; i < models; ++i) {
    const absl::StatusOr<Layout> layout = InferLayout(workload.Spec(i));
    if (!layout.ok()) Fail("%s\n", layout.status().ToString().c_str());
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
