// What each optimizer is called, reads and keeps: the table that the config,
// the checkpoints and the backends share.
#ifndef MODELBATCH_OPTIM_OPTIMIZER_INFO_H_
#define MODELBATCH_OPTIM_OPTIMIZER_INFO_H_

#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

struct HyperParameter {
  std::string name;  // as in torch.optim
  double default_value;
  double min;  // allowed range, both ends included unless open
  double max;
  bool max_open = false;
  bool flag = false;  // 0 or 1; a config may say false or true

  // InvalidArgument says the allowed range; NaN is never in it.
  absl::Status Check(double value) const;
};

struct OptimizerInfo {
  std::string kind;                              // "adam"
  std::vector<HyperParameter> hyper_parameters;  // its columns
  std::vector<std::string> state;  // a tensor a parameter: "exp_avg", ...

  // One of its own or of GradientHyperParameters; null: there is none.
  const HyperParameter* Find(const std::string& name) const;
};

// What every optimizer takes besides: what is done to a model's gradient before
// its update, in this order. No column: nothing.
//   gradient_scale  g = scale g
//   clip_value      as torch.nn.utils.clip_grad_value_; infinity: not
//   clip_norm       as torch.nn.utils.clip_grad_norm_, over all of a model's
//                   parameters; infinity: not
const std::vector<HyperParameter>& GradientHyperParameters();

// "sgd", "adam", ...: the optimizers that FindOptimizer knows.
std::vector<std::string> OptimizerKinds();

// InvalidArgument lists the optimizers there are.
absl::StatusOr<const OptimizerInfo*> FindOptimizer(const std::string& kind);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_INFO_H_
