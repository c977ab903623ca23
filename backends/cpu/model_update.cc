#include "backends/cpu/model_update.h"

#include "backends/cpu/optimizer_args.h"

namespace modelbatch::cpu {
namespace {

using grouped::OptimizerKind;
using grouped::UpdateRule;

// One model's entries of the columns, in the order of
// OptimizerInfo::hyper_parameters.
class Values {
 public:
  Values(const UpdateRule& rule, int model) : rule_(rule), model_(model) {}
  double operator[](int column) const { return rule_.columns[column][model_]; }
  bool flag(int column) const { return (*this)[column] != 0; }

 private:
  const UpdateRule& rule_;
  int model_;
};

template <typename Args>
Args Begin(int64_t step, const ModelBlocks& blocks) {
  Args args;
  args.count = blocks.count;
  args.param = blocks.param;
  args.grad = blocks.grad;
  args.step = step;
  return args;
}

SgdArgs Sgd(SgdArgs args, const Values& values, float* const* states) {
  args.lr = values[0];
  args.momentum = values[1];
  args.dampening = values[2];
  args.weight_decay = values[3];
  args.nesterov = values.flag(4);
  args.maximize = values.flag(5);
  args.buffer = states[0];
  return args;
}

AdamArgs Adam(AdamArgs args, bool decoupled, const Values& values,
              float* const* states) {
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

NAdamArgs NAdam(NAdamArgs args, const Values& values, float* const* states,
                float* mu_product) {
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

RAdamArgs RAdam(RAdamArgs args, const Values& values, float* const* states) {
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

RmsPropArgs RmsProp(RmsPropArgs args, const Values& values,
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

AdagradArgs Adagrad(AdagradArgs args, const Values& values,
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

AdadeltaArgs Adadelta(AdadeltaArgs args, const Values& values,
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

LionArgs Lion(LionArgs args, const Values& values, float* const* states) {
  args.lr = values[0];
  args.beta1 = values[1];
  args.beta2 = values[2];
  args.weight_decay = values[3];
  args.maximize = values.flag(4);
  args.exp_avg = states[0];
  return args;
}

}  // namespace

void UpdateModel(const Kernels& kernels, const UpdateRule& rule, int model,
                 int64_t step, const ModelBlocks& blocks) {
  const Values values(rule, model);
  float* const* const states = blocks.states;
  switch (rule.optimizer) {
    case OptimizerKind::kNone:
      return;
    case OptimizerKind::kSgd:
      return kernels.sgd(Sgd(Begin<SgdArgs>(step, blocks), values, states));
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return kernels.adam(Adam(Begin<AdamArgs>(step, blocks),
                               rule.optimizer == OptimizerKind::kAdamW, values,
                               states));
    case OptimizerKind::kNAdam:
      return kernels.nadam(NAdam(Begin<NAdamArgs>(step, blocks), values, states,
                                 blocks.mu_product));
    case OptimizerKind::kRAdam:
      return kernels.radam(
          RAdam(Begin<RAdamArgs>(step, blocks), values, states));
    case OptimizerKind::kRmsProp:
      return kernels.rmsprop(
          RmsProp(Begin<RmsPropArgs>(step, blocks), values, states));
    case OptimizerKind::kAdagrad:
      return kernels.adagrad(
          Adagrad(Begin<AdagradArgs>(step, blocks), values, states));
    case OptimizerKind::kAdadelta:
      return kernels.adadelta(
          Adadelta(Begin<AdadeltaArgs>(step, blocks), values, states));
    case OptimizerKind::kLion:
      return kernels.lion(Lion(Begin<LionArgs>(step, blocks), values, states));
  }
}

}  // namespace modelbatch::cpu
