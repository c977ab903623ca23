#include "modelbatch/optim/optimizer_info.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::max();

HyperParameter AtLeastZero(std::string name, double default_value) {
  return {std::move(name), default_value, 0, kInfinity};
}

HyperParameter Beta(std::string name, double default_value) {
  return {std::move(name), default_value, 0, 1, /*max_open=*/true};
}

HyperParameter Flag(std::string name, bool optional = false) {
  return {std::move(name), 0,       0, 1, /*max_open=*/false,
          /*flag=*/true,   optional};
}

HyperParameter Maximize() { return Flag("maximize", /*optional=*/true); }

OptimizerInfo AdamInfo(std::string kind, double weight_decay) {
  return {std::move(kind),
          {AtLeastZero("lr", 1e-3), Beta("beta1", 0.9), Beta("beta2", 0.999),
           AtLeastZero("eps", 1e-8), AtLeastZero("weight_decay", weight_decay),
           Flag("amsgrad", /*optional=*/true), Maximize()},
          {{"exp_avg"}, {"exp_avg_sq"}, {"max_exp_avg_sq", "amsgrad"}}};
}

// Names, defaults and ranges are torch.optim's (2.11); Lion's, which it has
// not, those of its authors' program.
const std::vector<OptimizerInfo>& Optimizers() {
  static const auto* const kOptimizers = new std::vector<OptimizerInfo>{
      {"sgd",
       {AtLeastZero("lr", 1e-3),
        AtLeastZero("momentum", 0),
        {"dampening", 0, -kInfinity, kInfinity},
        AtLeastZero("weight_decay", 0),
        Flag("nesterov"),
        Maximize()},
       {{"momentum_buffer", "momentum"}}},
      AdamInfo("adam", 0),
      AdamInfo("adamw", 1e-2),
      {"nadam",
       {AtLeastZero("lr", 2e-3), Beta("beta1", 0.9), Beta("beta2", 0.999),
        AtLeastZero("eps", 1e-8), AtLeastZero("weight_decay", 0),
        AtLeastZero("momentum_decay", 4e-3), Flag("decoupled_weight_decay"),
        Maximize()},
       {{"exp_avg"}, {"exp_avg_sq"}, {"mu_product", "", /*per_model=*/true}}},
      {"radam",
       {AtLeastZero("lr", 1e-3), Beta("beta1", 0.9), Beta("beta2", 0.999),
        AtLeastZero("eps", 1e-8), AtLeastZero("weight_decay", 0),
        Flag("decoupled_weight_decay"), Maximize()},
       {{"exp_avg"}, {"exp_avg_sq"}}},
      {"rmsprop",
       {AtLeastZero("lr", 1e-2), AtLeastZero("alpha", 0.99),
        AtLeastZero("eps", 1e-8), AtLeastZero("weight_decay", 0),
        AtLeastZero("momentum", 0), Flag("centered"), Maximize()},
       {{"square_avg"},
        {"momentum_buffer", "momentum"},
        {"grad_avg", "centered"}}},
      {"adagrad",
       {AtLeastZero("lr", 1e-2), AtLeastZero("lr_decay", 0),
        AtLeastZero("weight_decay", 0),
        AtLeastZero("initial_accumulator_value", 0), AtLeastZero("eps", 1e-10),
        Maximize()},
       {{"sum"}}},
      {"adadelta",
       {AtLeastZero("lr", 1),
        {"rho", 0.9, 0, 1},
        AtLeastZero("eps", 1e-6),
        AtLeastZero("weight_decay", 0),
        Maximize()},
       {{"square_avg"}, {"acc_delta"}}},
      {"lion",
       {AtLeastZero("lr", 1e-4), Beta("beta1", 0.9), Beta("beta2", 0.99),
        AtLeastZero("weight_decay", 0), Maximize()},
       {{"exp_avg"}}},
  };
  return *kOptimizers;
}

}  // namespace

absl::Status HyperParameter::Check(double value) const {
  const bool inside =
      flag ? value == 0 || value == 1
           : value >= min &&
                 (max_open ? value < max : value <= max);  // NaN: false
  if (inside) return absl::OkStatus();
  if (flag) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", value, ", expected 0 or 1"));
  }
  std::string range;
  if (max > kInfinity) {
    range = absl::StrCat(min, " or more");
  } else if (max == kInfinity) {
    range = min == -kInfinity ? "finite"
                              : absl::StrCat("finite and at least ", min);
  } else {
    range = absl::StrCat("in [", min, ", ", max, max_open ? ")" : "]");
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected a number ", range));
}

const std::vector<HyperParameter>& GradientHyperParameters() {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  static const auto* const kTable = new std::vector<HyperParameter>{
      {"gradient_scale", 1, -kInfinity, kInfinity},
      {"clip_value", kNone, 0, kNone},
      {"clip_norm", kNone, 0, kNone},
  };
  return *kTable;
}

const HyperParameter* OptimizerInfo::Find(const std::string& name) const {
  for (const auto* table : {&hyper_parameters, &GradientHyperParameters()}) {
    for (const HyperParameter& h : *table) {
      if (h.name == name) return &h;
    }
  }
  return nullptr;
}

const OptimizerState* OptimizerInfo::FindState(const std::string& name) const {
  for (const OptimizerState& s : state) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

std::vector<std::string> OptimizerKinds() {
  std::vector<std::string> kinds;
  for (const OptimizerInfo& info : Optimizers()) kinds.push_back(info.kind);
  return kinds;
}

absl::StatusOr<const OptimizerInfo*> FindOptimizer(const std::string& kind) {
  for (const OptimizerInfo& info : Optimizers()) {
    if (info.kind == kind) return &info;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no optimizer \"", kind,
                   "\"; there are: ", absl::StrJoin(OptimizerKinds(), ", ")));
}

}  // namespace modelbatch
