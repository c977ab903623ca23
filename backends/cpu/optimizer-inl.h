// Optimizer updates of compact parameters, operation by operation as
// torch.optim makes them; its add(x, alpha) and addcmul are one FMA. Scalars
// are computed in double and rounded to float once, as PyTorch does.
#ifndef BACKENDS_CPU_OPTIMIZER_INL_H_
#define BACKENDS_CPU_OPTIMIZER_INL_H_

#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/parts-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// x^n by repeated squaring: no libm, so the same bits everywhere.
MODELBATCH_INLINE double Power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 != 0) result *= x;
    x *= x;
  }
  return result;
}

// What every optimizer does first: the gradient's sign, and weight decay,
// decoupled, to p, else to g.
class WeightDecay {
 public:
  MODELBATCH_MEMBER WeightDecay(const OptimizerArgs& a, bool decoupled)
      : has_decay_(a.weight_decay != 0),
        decoupled_(decoupled),
        sign_(Set1(a.maximize ? -1.0f : 1.0f)),
        decay_(SetRounded(a.weight_decay)),
        shrink_(SetRounded(1 - a.lr * a.weight_decay)) {}
  MODELBATCH_MEMBER void operator()(V& p, V& g) const {
    g = g * sign_;
    if (!has_decay_) return;
    if (decoupled_) {
      p = p * shrink_;
    } else {
      g = Fma(p, decay_, g);
    }
  }

 private:
  bool has_decay_, decoupled_;
  V sign_, decay_, shrink_;
};

// Calls update(e, n, p, g) for vectors of parameters p and gradients g, which
// start at element e and of which n are left, and stores what it returns: the
// parameters. Weight decay is done.
template <typename F>
MODELBATCH_INLINE void UpdateAll(const OptimizerArgs& a, bool decoupled,
                                 const F& update) {
  const WeightDecay decay(a, decoupled);
  ForEachPart(a.count, [&](int64_t e, int64_t n) {
    V p = LoadUpTo(a.param + e, n);
    V g = LoadUpTo(a.grad + e, n);
    decay(p, g);
    StoreUpTo(a.param + e, update(e, n, p, g), n);
  });
}

// x = x + weight (g - x). torch.lerp starts from the nearer end.
class Lerp {
 public:
  MODELBATCH_MEMBER explicit Lerp(double weight)
      : from_end_(weight >= 0.5),
        weight_(SetRounded(from_end_ ? weight - 1 : weight)) {}
  MODELBATCH_MEMBER V operator()(V x, V g) const {
    return Fma(weight_, g - x, from_end_ ? g : x);
  }

 private:
  bool from_end_;
  V weight_;
};

// x = decay x + (1 - decay) g g.
class SquareAverage {
 public:
  MODELBATCH_MEMBER explicit SquareAverage(double decay)
      : keep_(SetRounded(decay)), fresh_(SetRounded(1 - decay)) {}
  MODELBATCH_MEMBER V operator()(V x, V g) const {
    return Fma(fresh_ * g, g, x * keep_);
  }

 private:
  V keep_, fresh_;
};

// The update of the vector at element e, of which n are left.
class SgdUpdate {
 public:
  MODELBATCH_MEMBER explicit SgdUpdate(const SgdArgs& a)
      : buffer_(a.buffer),
        has_momentum_(a.momentum != 0),
        first_(a.step == 1),
        nesterov_(a.nesterov),
        step_(SetRounded(-a.lr)),
        momentum_(SetRounded(a.momentum)),
        fresh_(SetRounded(1 - a.dampening)) {}
  MODELBATCH_MEMBER V operator()(int64_t e, int64_t n, V p, V g) const {
    if (has_momentum_) {
      const V b =
          first_ ? g : Fma(g, fresh_, LoadUpTo(buffer_ + e, n) * momentum_);
      StoreUpTo(buffer_ + e, b, n);
      g = nesterov_ ? Fma(b, momentum_, g) : b;
    }
    return Fma(g, step_, p);
  }

 private:
  float* buffer_;
  bool has_momentum_, first_, nesterov_;
  V step_, momentum_, fresh_;
};

MODELBATCH_INLINE void Sgd(const SgdArgs& a) {
  UpdateAll(a, /*decoupled=*/false, SgdUpdate(a));
}

// Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning",
// 2012; centered: Graves, "Generating Sequences With Recurrent Neural
// Networks", 2013.
MODELBATCH_INLINE void RmsProp(const RmsPropArgs& a) {
  const SquareAverage square(a.alpha);
  const Lerp average(1 - a.alpha);
  const V eps = SetRounded(a.eps), step = SetRounded(-a.lr);
  const V momentum = SetRounded(a.momentum);
  const bool has_momentum = a.momentum > 0;
  UpdateAll(a, /*decoupled=*/false, [&](int64_t e, int64_t n, V p, V g) {
    const V v = square(LoadUpTo(a.square_avg + e, n), g);
    StoreUpTo(a.square_avg + e, v, n);
    V variance = v;
    if (a.centered) {
      const V m = average(LoadUpTo(a.grad_avg + e, n), g);
      StoreUpTo(a.grad_avg + e, m, n);
      // Rounding may leave less than 0, of which torch takes the root.
      variance = Max(Fma(Zero() - m, m, v), Zero());
    }
    const V root = Sqrt(variance) + eps;
    if (!has_momentum) return p + step * g / root;
    const V b = LoadUpTo(a.momentum_buffer + e, n) * momentum + g / root;
    StoreUpTo(a.momentum_buffer + e, b, n);
    return Fma(b, step, p);
  });
}

// Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning
// and Stochastic Optimization", 2011.
MODELBATCH_INLINE void Adagrad(const AdagradArgs& a) {
  const double count = static_cast<double>(a.step - 1);
  const V step = SetRounded(-(a.lr / (1 + count * a.lr_decay)));
  const V eps = SetRounded(a.eps);
  const V initial = SetRounded(a.initial_accumulator_value);
  const bool first = a.step == 1;
  UpdateAll(a, /*decoupled=*/false, [&](int64_t e, int64_t n, V p, V g) {
    const V s = Fma(g, g, first ? initial : LoadUpTo(a.sum + e, n));
    StoreUpTo(a.sum + e, s, n);
    return p + step * g / (Sqrt(s) + eps);
  });
}

// Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
MODELBATCH_INLINE void Adadelta(const AdadeltaArgs& a) {
  const SquareAverage average(a.rho);
  const V eps = SetRounded(a.eps), step = SetRounded(-a.lr);
  UpdateAll(a, /*decoupled=*/false, [&](int64_t e, int64_t n, V p, V g) {
    const V v = average(LoadUpTo(a.square_avg + e, n), g);
    const V u = LoadUpTo(a.acc_delta + e, n);
    const V delta = Sqrt(u + eps) / Sqrt(v + eps) * g;
    StoreUpTo(a.square_avg + e, v, n);
    StoreUpTo(a.acc_delta + e, average(u, delta), n);
    return Fma(delta, step, p);
  });
}

// Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023,
// Algorithm 2:
//   c = beta1 m + (1 - beta1) g;  p = p - lr (sign(c) + weight_decay p)
//   m = beta2 m + (1 - beta2) g
MODELBATCH_INLINE void Lion(const LionArgs& a) {
  const V up = SetRounded(a.lr), down = SetRounded(-a.lr);
  const V keep1 = SetRounded(a.beta1), fresh1 = SetRounded(1 - a.beta1);
  const V keep2 = SetRounded(a.beta2), fresh2 = SetRounded(1 - a.beta2);
  UpdateAll(a, /*decoupled=*/true, [&](int64_t e, int64_t n, V p, V g) {
    const V m = LoadUpTo(a.exp_avg + e, n);
    const V c = Fma(g, fresh1, m * keep1);
    StoreUpTo(a.exp_avg + e, Fma(g, fresh2, m * keep2), n);
    const V fall = Select(Less(Zero(), c), down, Zero());
    return p + Select(Less(c, Zero()), up, fall);
  });
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_OPTIMIZER_INL_H_
