// What the kernels compute, as formulas in double: obvious rather than fast.
#ifndef BACKENDS_CPU_REFERENCE_H_
#define BACKENDS_CPU_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels.h"

namespace modelbatch::cpu::reference {

inline double Activate(Unary f, double x) {
  switch (f) {
    case Unary::kRelu:
      return x > 0 ? x : 0;
    case Unary::kGelu:  // x Phi(x); erfc keeps the left tail
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Unary::kGeluTanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Unary::kTanh:
      return std::tanh(x);
    case Unary::kSigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

inline double Derivative(Unary f, double x) {
  switch (f) {
    case Unary::kRelu:
      return x > 0 ? 1 : 0;
    case Unary::kGelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) +
             x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    case Unary::kGeluTanh: {
      const double c = std::sqrt(2 / M_PI);
      const double t = std::tanh(c * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) +
             0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
    }
    case Unary::kTanh:
      return 1 - std::pow(std::tanh(x), 2);
    case Unary::kSigmoid: {
      const double y = 1 / (1 + std::exp(-x));
      return y * (1 - y);
    }
  }
  return 0;
}

// One row of torch.nn.LayerNorm.
inline std::vector<double> LayerNorm(const std::vector<double>& x,
                                     const std::vector<double>& weight,
                                     const std::vector<double>& bias,
                                     double eps) {
  const double n = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (double v : x) mean += v / n;
  for (double v : x) variance += (v - mean) * (v - mean) / n;
  std::vector<double> y;
  for (size_t j = 0; j < x.size(); ++j) {
    y.push_back((x[j] - mean) / std::sqrt(variance + eps) * weight[j] +
                bias[j]);
  }
  return y;
}

inline std::vector<double> Softmax(const std::vector<double>& x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - max);
  std::vector<double> y;
  for (double v : x) y.push_back(std::exp(v - max) / sum);
  return y;
}

// -log softmax(x)[target].
inline double CrossEntropy(const std::vector<double>& x, int64_t target) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - max);
  return std::log(sum) + max - x[target];
}

// torch's cross_entropy of one row with weights of the classes (empty: all 1)
// and label smoothing s, by its definition: the expectation of w * -log p under
// the target mixed with all classes alike.
inline double SmoothedCrossEntropy(const std::vector<double>& x, int64_t target,
                                   const std::vector<double>& w, double s) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) {
    const double q = s / static_cast<double>(x.size()) +
                     (static_cast<int64_t>(j) == target ? 1 - s : 0);
    if (q == 0) continue;
    sum +=
        q * (w.empty() ? 1 : w[j]) * CrossEntropy(x, static_cast<int64_t>(j));
  }
  return sum;
}

// An element of a loss on values, and its derivative by x.
struct Element {
  double value, derivative;
};
inline Element SmoothL1(double x, double t, double beta) {
  const double d = x - t;
  if (std::abs(d) < beta) return {0.5 * d * d / beta, d / beta};
  return {std::abs(d) - 0.5 * beta, d > 0 ? 1.0 : d < 0 ? -1.0 : 0.0};
}
inline Element Huber(double x, double t, double delta) {
  const double d = x - t;
  if (std::abs(d) < delta) return {0.5 * d * d, d};
  return {delta * (std::abs(d) - 0.5 * delta), d > 0 ? delta : -delta};
}
// -p t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)).
inline Element BceWithLogits(double x, double t, double p) {
  const auto minus_log_sigmoid = [](double z) {
    return z > 0 ? std::log1p(std::exp(-z)) : std::log1p(std::exp(z)) - z;
  };
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };
  return {p * t * minus_log_sigmoid(x) + (1 - t) * minus_log_sigmoid(-x),
          (1 - t) * sigmoid(x) - p * t * sigmoid(-x)};
}

// One element of torch.optim.SGD's state.
struct SgdState {
  double param, buffer;
};
inline SgdState Sgd(SgdState s, double grad, const SgdArgs& a) {
  grad += a.weight_decay * s.param;
  if (a.momentum != 0) {
    s.buffer =
        a.first ? grad : a.momentum * s.buffer + (1 - a.dampening) * grad;
    grad = a.nesterov ? grad + a.momentum * s.buffer : s.buffer;
  }
  s.param -= a.lr * grad;
  return s;
}

// One element of torch.optim.Adam's or AdamW's state.
struct AdamState {
  double param, exp_avg, exp_avg_sq;
};
inline AdamState Adam(AdamState s, double grad, const AdamArgs& a) {
  if (a.decoupled) {
    s.param *= 1 - a.lr * a.weight_decay;
  } else {
    grad += a.weight_decay * s.param;
  }
  s.exp_avg = a.beta1 * s.exp_avg + (1 - a.beta1) * grad;
  s.exp_avg_sq = a.beta2 * s.exp_avg_sq + (1 - a.beta2) * grad * grad;
  const double t = static_cast<double>(a.step);
  const double m = s.exp_avg / (1 - std::pow(a.beta1, t));
  const double v = s.exp_avg_sq / (1 - std::pow(a.beta2, t));
  s.param -= a.lr * m / (std::sqrt(v) + a.eps);
  return s;
}

}  // namespace modelbatch::cpu::reference

#endif  // BACKENDS_CPU_REFERENCE_H_
