// What one model's update reads and writes. Arrays have `count` floats, the
// model's compact parameters; states are named as in torch.optim.
#ifndef BACKENDS_CPU_OPTIMIZER_ARGS_H_
#define BACKENDS_CPU_OPTIMIZER_ARGS_H_

#include <cstdint>

namespace modelbatch::cpu {

// What every optimizer has. `step` counts from 1: the update about to be made.
// The first one does not read the states that start from something else than
// zeros. Scalars that depend on `step` are computed in double and rounded to
// float once.
struct OptimizerArgs {
  int64_t count = 0;
  float* param = nullptr;
  const float* grad = nullptr;
  int64_t step = 1;
  double lr = 0, weight_decay = 0;
  bool maximize = false;  // the gradient's sign is changed first
};

// torch.optim.SGD. `buffer` may be null when momentum is 0. As PyTorch does,
// the first update sets the buffer to the gradient, without dampening.
struct SgdArgs : OptimizerArgs {
  float* buffer = nullptr;
  double momentum = 0, dampening = 0;
  bool nesterov = false;
};

// torch.optim.Adam, and AdamW with decoupled weight decay. `max_exp_avg_sq` may
// be null without amsgrad.
struct AdamArgs : OptimizerArgs {
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float* max_exp_avg_sq = nullptr;
  double beta1 = 0, beta2 = 0, eps = 0;
  bool decoupled = false, amsgrad = false;
};

// torch.optim.NAdam. The first update takes `mu_product` for 1.
struct NAdamArgs : OptimizerArgs {
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float* mu_product = nullptr;  // one number
  double beta1 = 0, beta2 = 0, eps = 0, momentum_decay = 0;
  bool decoupled = false;
};

// torch.optim.RAdam.
struct RAdamArgs : OptimizerArgs {
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  double beta1 = 0, beta2 = 0, eps = 0;
  bool decoupled = false;
};

// torch.optim.RMSprop. `momentum_buffer` may be null when momentum is 0,
// `grad_avg` when not centered.
struct RmsPropArgs : OptimizerArgs {
  float* square_avg = nullptr;
  float* momentum_buffer = nullptr;
  float* grad_avg = nullptr;
  double alpha = 0, eps = 0, momentum = 0;
  bool centered = false;
};

// torch.optim.Adagrad. The first update takes `sum` for
// initial_accumulator_value.
struct AdagradArgs : OptimizerArgs {
  float* sum = nullptr;
  double lr_decay = 0, initial_accumulator_value = 0, eps = 0;
};

// torch.optim.Adadelta.
struct AdadeltaArgs : OptimizerArgs {
  float* square_avg = nullptr;
  float* acc_delta = nullptr;
  double rho = 0, eps = 0;
};

// Lion: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms",
// Algorithm 2.
struct LionArgs : OptimizerArgs {
  float* exp_avg = nullptr;
  double beta1 = 0, beta2 = 0;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_OPTIMIZER_ARGS_H_
