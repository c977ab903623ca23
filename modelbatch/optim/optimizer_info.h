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

  const HyperParameter* Find(const std::string& name) const;
};

// "sgd", "adam", ...: the optimizers that FindOptimizer knows.
std::vector<std::string> OptimizerKinds();

// InvalidArgument lists the optimizers there are.
absl::StatusOr<const OptimizerInfo*> FindOptimizer(const std::string& kind);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_INFO_H_
