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

// One element: the parameter and the optimizer's states in the order of its
// arguments. Each function is one update by torch.optim's formula.
struct Optimized {
  double param;
  double states[3];
};

inline double Gradient(const Optimized& s, double grad,
                       const OptimizerArgs& a) {
  return (a.maximize ? -grad : grad) + a.weight_decay * s.param;
}
// The gradient; decays the parameter where that is decoupled.
inline double Decay(Optimized* s, double grad, const OptimizerArgs& a,
                    bool decoupled) {
  if (!decoupled) return Gradient(*s, grad, a);
  s->param *= 1 - a.lr * a.weight_decay;
  return a.maximize ? -grad : grad;
}

inline Optimized Sgd(Optimized s, double grad, const SgdArgs& a) {
  grad = Gradient(s, grad, a);
  if (a.momentum != 0) {
    double& buffer = s.states[0];
    buffer =
        a.step == 1 ? grad : a.momentum * buffer + (1 - a.dampening) * grad;
    grad = a.nesterov ? grad + a.momentum * buffer : buffer;
  }
  s.param -= a.lr * grad;
  return s;
}

// The moving averages of Adam and its kin.
template <typename Args>
void MoveAverages(Optimized* s, double grad, const Args& a) {
  s->states[0] = a.beta1 * s->states[0] + (1 - a.beta1) * grad;
  s->states[1] = a.beta2 * s->states[1] + (1 - a.beta2) * grad * grad;
}

inline Optimized Adam(Optimized s, double grad, const AdamArgs& a) {
  grad = Decay(&s, grad, a, a.decoupled);
  MoveAverages(&s, grad, a);
  double square = s.states[1];
  if (a.amsgrad) square = s.states[2] = std::max(s.states[2], square);
  const double t = static_cast<double>(a.step);
  const double m = s.states[0] / (1 - std::pow(a.beta1, t));
  const double v = square / (1 - std::pow(a.beta2, t));
  s.param -= a.lr * m / (std::sqrt(v) + a.eps);
  return s;
}

inline double Mu(const NAdamArgs& a, int64_t step) {
  return a.beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) *
                                                 a.momentum_decay));
}
// With the same hyper-parameters from the first step on.
inline double MuProduct(const NAdamArgs& a, int64_t step) {
  double product = 1;
  for (int64_t t = 1; t <= step; ++t) product *= Mu(a, t);
  return product;
}
inline Optimized NAdam(Optimized s, double grad, const NAdamArgs& a) {
  grad = Decay(&s, grad, a, a.decoupled);
  MoveAverages(&s, grad, a);
  const double v =
      s.states[1] / (1 - std::pow(a.beta2, static_cast<double>(a.step)));
  const double of_gradient = (1 - Mu(a, a.step)) / (1 - MuProduct(a, a.step));
  const double of_average = Mu(a, a.step + 1) / (1 - MuProduct(a, a.step + 1));
  s.param -= a.lr * (of_gradient * grad + of_average * s.states[0]) /
             (std::sqrt(v) + a.eps);
  return s;
}

inline Optimized RAdam(Optimized s, double grad, const RAdamArgs& a) {
  grad = Decay(&s, grad, a, a.decoupled);
  MoveAverages(&s, grad, a);
  const double t = static_cast<double>(a.step);
  const double power = std::pow(a.beta2, t);
  const double end = 2 / (1 - a.beta2) - 1;
  const double rho = end - 2 * t * power / (1 - power);
  double update = a.lr * s.states[0] / (1 - std::pow(a.beta1, t));
  if (rho > 5) {
    update *=
        std::sqrt(1 - power) / (std::sqrt(s.states[1]) + a.eps) *
        std::sqrt((rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho));
  }
  s.param -= update;
  return s;
}

// States: square_avg, momentum_buffer, grad_avg.
inline Optimized RmsProp(Optimized s, double grad, const RmsPropArgs& a) {
  grad = Gradient(s, grad, a);
  s.states[0] = a.alpha * s.states[0] + (1 - a.alpha) * grad * grad;
  double variance = s.states[0];
  if (a.centered) {
    s.states[2] = a.alpha * s.states[2] + (1 - a.alpha) * grad;
    variance -= s.states[2] * s.states[2];
  }
  double update = grad / (std::sqrt(variance) + a.eps);
  if (a.momentum > 0) {
    update = s.states[1] = a.momentum * s.states[1] + update;
  }
  s.param -= a.lr * update;
  return s;
}

inline Optimized Adagrad(Optimized s, double grad, const AdagradArgs& a) {
  grad = Gradient(s, grad, a);
  if (a.step == 1) s.states[0] = a.initial_accumulator_value;
  s.states[0] += grad * grad;
  const double lr = a.lr / (1 + static_cast<double>(a.step - 1) * a.lr_decay);
  s.param -= lr * grad / (std::sqrt(s.states[0]) + a.eps);
  return s;
}

inline Optimized Adadelta(Optimized s, double grad, const AdadeltaArgs& a) {
  grad = Gradient(s, grad, a);
  s.states[0] = a.rho * s.states[0] + (1 - a.rho) * grad * grad;
  const double delta =
      std::sqrt(s.states[1] + a.eps) / std::sqrt(s.states[0] + a.eps) * grad;
  s.states[1] = a.rho * s.states[1] + (1 - a.rho) * delta * delta;
  s.param -= a.lr * delta;
  return s;
}

// Chen et al. 2023, Algorithm 2.
inline Optimized Lion(Optimized s, double grad, const LionArgs& a) {
  grad = a.maximize ? -grad : grad;
  const double c = a.beta1 * s.states[0] + (1 - a.beta1) * grad;
  const double sign = c > 0 ? 1 : c < 0 ? -1 : 0;
  s.param -= a.lr * (sign + a.weight_decay * s.param);
  s.states[0] = a.beta2 * s.states[0] + (1 - a.beta2) * grad;
  return s;
}

}  // namespace modelbatch::cpu::reference

#endif  // BACKENDS_CPU_REFERENCE_H_
