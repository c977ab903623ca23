// One model's entries of the columns of a step, in the order of
// OptimizerInfo::hyper_parameters, as the arguments of its update: `values[c]`
// is the model's entry of column c, `values.flag(c)` whether it is not 0. Of
// `args` those that every optimizer has are set.
#ifndef BACKENDS_CPU_OPTIMIZER_COLUMNS_INL_H_
#define BACKENDS_CPU_OPTIMIZER_COLUMNS_INL_H_

#include "backends/cpu/host_device.h"
#include "backends/cpu/optimizer_args.h"

namespace modelbatch::cpu {

template <typename Values>
MODELBATCH_INLINE SgdArgs SgdOf(SgdArgs args, const Values& values,
                                float* const* states) {
  args.lr = values[0];
  args.momentum = values[1];
  args.dampening = values[2];
  args.weight_decay = values[3];
  args.nesterov = values.flag(4);
  args.maximize = values.flag(5);
  args.buffer = states[0];
  return args;
}

template <typename Values>
MODELBATCH_INLINE AdamArgs AdamOf(AdamArgs args, bool decoupled,
                                  const Values& values, float* const* states) {
  args.lr = values[0];
  args.beta1 = values[1];
  args.beta2 = values[2];
  args.eps = values[3];
  args.weight_decay = values[4];
  args.amsgrad = values.flag(5);
  args.maximize = values.flag(6);
  args.decoupled = decoupled;
  args.exp_avg = states[0];
  args.exp_avg_sq = states[1];
  args.max_exp_avg_sq = states[2];
  return args;
}

template <typename Values>
MODELBATCH_INLINE NAdamArgs NAdamOf(NAdamArgs args, const Values& values,
                                    float* const* states, float* mu_product) {
  args.lr = values[0];
  args.beta1 = values[1];
  args.beta2 = values[2];
  args.eps = values[3];
  args.weight_decay = values[4];
  args.momentum_decay = values[5];
  args.decoupled = values.flag(6);
  args.maximize = values.flag(7);
  args.exp_avg = states[0];
  args.exp_avg_sq = states[1];
  args.mu_product = mu_product;
  return args;
}

template <typename Values>
MODELBATCH_INLINE RAdamArgs RAdamOf(RAdamArgs args, const Values& values,
                                    float* const* states) {
  args.lr = values[0];
  args.beta1 = values[1];
  args.beta2 = values[2];
  args.eps = values[3];
  args.weight_decay = values[4];
  args.decoupled = values.flag(5);
  args.maximize = values.flag(6);
  args.exp_avg = states[0];
  args.exp_avg_sq = states[1];
  return args;
}

template <typename Values>
MODELBATCH_INLINE RmsPropArgs RmsPropOf(RmsPropArgs args, const Values& values,
                                        float* const* states) {
  args.lr = values[0];
  args.alpha = values[1];
  args.eps = values[2];
  args.weight_decay = values[3];
  args.momentum = values[4];
  args.centered = values.flag(5);
  args.maximize = values.flag(6);
  args.square_avg = states[0];
  args.momentum_buffer = states[1];
  args.grad_avg = states[2];
  return args;
}

template <typename Values>
MODELBATCH_INLINE AdagradArgs AdagradOf(AdagradArgs args, const Values& values,
                                        float* const* states) {
  args.lr = values[0];
  args.lr_decay = values[1];
  args.weight_decay = values[2];
  args.initial_accumulator_value = values[3];
  args.eps = values[4];
  args.maximize = values.flag(5);
  args.sum = states[0];
  return args;
}

template <typename Values>
MODELBATCH_INLINE AdadeltaArgs AdadeltaOf(AdadeltaArgs args,
                                          const Values& values,
                                          float* const* states) {
  args.lr = values[0];
  args.rho = values[1];
  args.eps = values[2];
  args.weight_decay = values[3];
  args.maximize = values.flag(4);
  args.square_avg = states[0];
  args.acc_delta = states[1];
  return args;
}

template <typename Values>
MODELBATCH_INLINE LionArgs LionOf(LionArgs args, const Values& values,
                                  float* const* states) {
  args.lr = values[0];
  args.beta1 = values[1];
  args.beta2 = values[2];
  args.weight_decay = values[3];
  args.maximize = values.flag(4);
  args.exp_avg = states[0];
  return args;
}

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_OPTIMIZER_COLUMNS_INL_H_
