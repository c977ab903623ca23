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
  // A backend takes its absence for the default, and gets it only where a model
  // has another value: the optimizer is older than the column.
  bool optional = false;

  // InvalidArgument says the allowed range; NaN is never in it.
  absl::Status Check(double value) const;
};

// A slot of Session::ReadState, float32. All start as zeros; what a model's
// first update starts from otherwise it knows by the step count of 0.
struct OptimizerState {
  std::string name;  // as in torch.optim: "exp_avg"
  // The hyper-parameter that is not 0 where a model has this state; empty:
  // always. A batch holds it from when the first of its models does; until then
  // it is zeros, and takes no memory.
  std::string needed_by = {};
  // One number a model, of shape [], with no parameter's name; otherwise a
  // tensor a parameter.
  bool per_model = false;
};

struct OptimizerInfo {
  std::string kind;                              // "adam"
  std::vector<HyperParameter> hyper_parameters;  // its columns
  std::vector<OptimizerState> state;

  // One of its own or of GradientHyperParameters; null: there is none.
  const HyperParameter* Find(const std::string& name) const;
  const OptimizerState* FindState(const std::string& name) const;
};

// What every optimizer takes besides: what is done to a model's gradient before
// its update, in this order. No column: nothing.
//   gradient_scale  g = scale g
//   clip_value      as torch.nn.utils.clip_grad_value_; infinity: not
//   clip_norm       as torch.nn.utils.clip_grad_norm_, over all of a model's
//                   parameters; infinity: not
const std::vector<HyperParameter>& GradientHyperParameters();

// "sgd", "adam", "rmsprop", ...: the optimizers that FindOptimizer knows.
std::vector<std::string> OptimizerKinds();

// InvalidArgument lists the optimizers there are.
absl::StatusOr<const OptimizerInfo*> FindOptimizer(const std::string& kind);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_INFO_H_
