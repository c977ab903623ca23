#include "benchmarks/compare/agreement.h"

#include <algorithm>
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

// The lower median; a NaN counts as larger than all numbers. Sorts the values.
double MiddleOf(std::vector<double>& values) {
  const auto middle =
      values.begin() + static_cast<int64_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end(),
                   [](double a, double b) {
                     return std::isnan(b) ? !std::isnan(a) : a < b;
                   });
  return *middle;
}

// A NaN is taken, and stays.
void TakeLarger(double value, double* most) {
  if (!(value <= *most) && !std::isnan(*most)) *most = value;
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

Allowed AllowedIn(const std::string& precision) {
  Allowed allowed = {2e-4, {2e-4, 5e-2}};
  if (precision == "tf32") allowed.after_run.median = 5 * std::ldexp(1, -11);
  if (precision == "bf16") {
    allowed.after_run = {5 * std::ldexp(1, -8), 1e-1};
  }
  return allowed;
}

std::vector<Difference> Differences(const Workload& workload,
                                    const std::vector<float>& weights,
                                    const std::vector<float>& expected) {
  std::vector<Difference> differences(workload.models());
  std::vector<double> parts;
  ForEachTensor(workload, [&](int model, const Parameter& parameter, int64_t at,
                              const float* initial) {
    const int64_t size = NumElements(parameter.shape);
    Difference& largest = differences[model];
    TakeLarger(Distance(&weights[at], &expected[at], size) /
                   Distance(&expected[at], initial, size),
               &largest.norm);
    parts.clear();
    for (int64_t e = 0; e < size; ++e) {
      const double moved =
          std::abs(static_cast<double>(expected[at + e]) - initial[e]);
      const double differs =
          std::abs(static_cast<double>(weights[at + e]) - expected[at + e]);
      // Nobody moves the weights of a unit that is dead from the beginning.
      if (moved > 0 || differs > 0) parts.push_back(differs / moved);
    }
    if (!parts.empty()) TakeLarger(MiddleOf(parts), &largest.median);
  });
  return differences;
}

Difference Largest(const std::vector<Difference>& differences) {
  Difference largest;
  for (const Difference& difference : differences) {
    TakeLarger(difference.median, &largest.median);
    TakeLarger(difference.norm, &largest.norm);
  }
  return largest;
}

Difference Middle(const std::vector<Difference>& differences) {
  std::vector<double> medians, norms;
  for (const Difference& difference : differences) {
    medians.push_back(difference.median);
    norms.push_back(difference.norm);
  }
  return {MiddleOf(medians), MiddleOf(norms)};
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
