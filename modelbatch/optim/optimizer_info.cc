#include "modelbatch/optim/optimizer_info.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::max();

// Defaults and ranges are torch.optim's (2.11).
const std::array<OptimizerInfo, 3>& Optimizers() {
  static const auto* const kOptimizers = new std::array<OptimizerInfo, 3>{{
      {"sgd",
       {{"lr", 1e-3, 0, kInfinity},
        {"momentum", 0, 0, kInfinity},
        {"dampening", 0, -kInfinity, kInfinity},
        {"weight_decay", 0, 0, kInfinity},
        {"nesterov", 0, 0, 1, false, true}},
       {"momentum_buffer"}},
      {"adam",
       {{"lr", 1e-3, 0, kInfinity},
        {"beta1", 0.9, 0, 1, true},
        {"beta2", 0.999, 0, 1, true},
        {"eps", 1e-8, 0, kInfinity},
        {"weight_decay", 0, 0, kInfinity}},
       {"exp_avg", "exp_avg_sq"}},
      {"adamw",
       {{"lr", 1e-3, 0, kInfinity},
        {"beta1", 0.9, 0, 1, true},
        {"beta2", 0.999, 0, 1, true},
        {"eps", 1e-8, 0, kInfinity},
        {"weight_decay", 1e-2, 0, kInfinity}},
       {"exp_avg", "exp_avg_sq"}},
  }};
  return *kOptimizers;
}

}  // namespace

absl::Status HyperParameter::Check(double value) const {
  const bool inside =
      value >= min && (max_open ? value < max : value <= max);  // NaN: false
  if (inside) return absl::OkStatus();
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
