#include "backends/cpu/model_update.h"

#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/optimizer_columns-inl.h"

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

}  // namespace

void UpdateModel(const Kernels& kernels, const UpdateRule& rule, int model,
                 int64_t step, const ModelBlocks& blocks) {
  const Values values(rule, model);
  float* const* const states = blocks.states;
  switch (rule.optimizer) {
    case OptimizerKind::kNone:
      return;
    case OptimizerKind::kSgd:
      return kernels.sgd(SgdOf(Begin<SgdArgs>(step, blocks), values, states));
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return kernels.adam(AdamOf(Begin<AdamArgs>(step, blocks),
                                 rule.optimizer == OptimizerKind::kAdamW,
                                 values, states));
    case OptimizerKind::kNAdam:
      return kernels.nadam(NAdamOf(Begin<NAdamArgs>(step, blocks), values,
                                   states, blocks.mu_product));
    case OptimizerKind::kRAdam:
      return kernels.radam(
          RAdamOf(Begin<RAdamArgs>(step, blocks), values, states));
    case OptimizerKind::kRmsProp:
      return kernels.rmsprop(
          RmsPropOf(Begin<RmsPropArgs>(step, blocks), values, states));
    case OptimizerKind::kAdagrad:
      return kernels.adagrad(
          AdagradOf(Begin<AdagradArgs>(step, blocks), values, states));
    case OptimizerKind::kAdadelta:
      return kernels.adadelta(
          AdadeltaOf(Begin<AdadeltaArgs>(step, blocks), values, states));
    case OptimizerKind::kLion:
      return kernels.lion(
          LionOf(Begin<LionArgs>(step, blocks), values, states));
  }
}

}  // namespace modelbatch::cpu
