#include "benchmarks/compare/agreement.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace modelbatch::benchmarks {
namespace {

double Distance(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t e = 0; e < count; ++e) {
    const double d = static_cast<double>(a[e]) - b[e];
    sum += d * d;
  }
  return std::sqrt(sum);
}

// Calls f(model, parameter, place among all weights, initial values).
template <typename F>
void ForEachTensor(const Workload& workload, const F& f) {
  int64_t at = 0;
  for (int i = 0; i < workload.models(); ++i) {
    const float* initial = workload.initial[i].data();
    for (const Parameter& parameter : workload.layouts[i].parameters) {
      f(i, parameter, at, initial);
      at += NumElements(parameter.shape);
      initial += NumElements(parameter.shape);
    }
  }
}

}  // namespace

double LargestDifference(const Workload& workload,
                         const std::vector<float>& weights,
                         const std::vector<float>& expected) {
  double largest = 0;
  ForEachTensor(workload, [&](int, const Parameter& parameter, int64_t at,
                              const float* initial) {
    const int64_t size = NumElements(parameter.shape);
    const double difference =
        Distance(&weights[at], &expected[at], size) /
        Distance(&expected[at], initial, size);
    // A NaN is taken, and stays.
    if (!(difference <= largest) && !std::isnan(largest)) largest = difference;
  });
  return largest;
}

absl::Status CheckMoved(const Workload& workload,
                        const std::vector<float>& expected) {
  absl::Status status;
  ForEachTensor(workload, [&](int model, const Parameter& parameter, int64_t at,
                              const float* initial) {
    const double moved =
        Distance(&expected[at], initial, NumElements(parameter.shape));
    if (moved > 0) return;  // not for a NaN
    status = absl::InvalidArgumentError(
        absl::StrCat("parameter ", parameter.name, " of model ", model,
                     " has moved by ", moved, " from its initial values"));
  });
  return status;
}

}  // namespace modelbatch::benchmarks
