#include "backends/libtorch/host_loops.h"

#include <cmath>

// Compiled for each; the machine's best is called. A result's bits are the
// same.
#define MB_FOR_EACH_TARGET \
  __attribute__((target_clones("avx512f", "avx2", "default")))

namespace modelbatch::libtorch {
namespace {

using grouped::OptimizerKind;
using grouped::UpdateRule;

// The numbers of UpdateAdam (update_adam.cc).
struct AdamNumbers {
  float sign = 1;             // of the gradient
  float add = 0, shrink = 1;  // weight decay: of the gradient, or decoupled
  float fresh1 = 0, keep1 = 0, fresh2 = 0, keep2 = 0;
  float root = 1, eps = 0, step = 0;
  bool amsgrad = false;
};

MB_FOR_EACH_TARGET void AdamLoop(const AdamNumbers& numbers, int64_t size,
                                 const float* __restrict gradient,
                                 float* __restrict parameter,
                                 float* __restrict average,
                                 float* __restrict square,
                                 float* __restrict largest) {
  const AdamNumbers n = numbers;
  const bool adds = n.add != 0, from_average = n.fresh1 < 0.5f;
  for (int64_t i = 0; i < size; ++i) {
    float g = gradient[i] * n.sign;
    if (adds) g += parameter[i] * n.add;
    const float p = parameter[i] * n.shrink;
    // at::lerp, whose form depends on the weight.
    const float d = g - average[i];
    const float m = from_average ? average[i] + n.fresh1 * d : g - d * n.keep1;
    float v = square[i] * n.keep2 + (g * n.fresh2) * g;
    average[i] = m;
    square[i] = v;
    if (n.amsgrad) {
      v = largest[i] > v ? largest[i] : v;
      largest[i] = v;
    }
    parameter[i] = p + (m * n.step) / (std::sqrt(v) / n.root + n.eps);
  }
}

}  // namespace

MB_FOR_EACH_TARGET bool AllFinite(const float* values, int64_t size) {
  int finite = 1;
  for (int64_t i = 0; i < size; ++i) {
    finite &= static_cast<int>(values[i] * 0.0f == 0.0f);
  }
  return finite != 0;
}

bool HasHostUpdate(const UpdateRule& rule) {
  return rule.optimizer == OptimizerKind::kAdam ||
         rule.optimizer == OptimizerKind::kAdamW;
}

void UpdateOnHost(const UpdateRule& rule, int model, int64_t steps,
                  int64_t size, const HostRow& row) {
  // In the order of OptimizerInfo::hyper_parameters.
  const auto value = [&](int column) { return rule.columns[column][model]; };
  const double lr = value(0), beta1 = value(1), beta2 = value(2),
               decay = value(4), count = static_cast<double>(steps + 1);
  const bool decoupled = rule.optimizer == OptimizerKind::kAdamW;
  const auto rounded = [](double x) { return static_cast<float>(x); };
  AdamNumbers n;
  n.sign = value(6) != 0 ? -1 : 1;
  n.add = decoupled ? 0 : rounded(decay);
  n.shrink = decoupled ? rounded(1 - lr * decay) : 1;
  n.fresh1 = rounded(1 - beta1);
  n.keep1 = 1 - n.fresh1;
  n.fresh2 = rounded(1 - beta2);
  n.keep2 = rounded(beta2);
  n.root = rounded(std::sqrt(1 - std::pow(beta2, count)));
  n.eps = rounded(value(3));
  n.step = rounded(-lr / (1 - std::pow(beta1, count)));
  n.amsgrad = value(5) != 0;
  AdamLoop(n, size, row.gradient, row.parameter, row.states[0], row.states[1],
           row.states[2]);
}

}  // namespace modelbatch::libtorch
