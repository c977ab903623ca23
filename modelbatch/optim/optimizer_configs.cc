#include "modelbatch/optim/optimizer_configs.h"

#include <cmath>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::StatusOr<std::vector<OptimizerConfig>> WithRates(
    const std::string& kind, absl::Span<const double> learning_rates,
    const OptimizerConfig& others) {
  std::vector<OptimizerConfig> configs;
  for (const double lr : learning_rates) {
    configs.push_back(others);
    configs.back()["lr"] = lr;
  }
  // Also where there is no model to refuse it.
  MB_RETURN_IF_ERROR(
      Optimizer::Create(kind, others, {OptimizerConfig()}).status());
  MB_RETURN_IF_ERROR(Optimizer::Create(kind, {}, configs).status());
  return configs;
}

}  // namespace

absl::StatusOr<std::vector<OptimizerConfig>> CreateSgdConfigs(
    absl::Span<const double> learning_rates, double momentum,
    double weight_decay) {
  return WithRates("sgd", learning_rates,
                   {{"momentum", momentum}, {"weight_decay", weight_decay}});
}

absl::StatusOr<std::vector<OptimizerConfig>> CreateAdamConfigs(
    absl::Span<const double> learning_rates, double beta1, double beta2,
    double eps, double weight_decay) {
  return WithRates("adam", learning_rates,
                   {{"beta1", beta1},
                    {"beta2", beta2},
                    {"eps", eps},
                    {"weight_decay", weight_decay}});
}

absl::StatusOr<std::vector<OptimizerConfig>> CreateLrSweepConfigs(
    double min_lr, double max_lr, int num_models, LrScale scale) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  if (num_models < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_models is ", num_models, ", expected at least 1"));
  }
  // NaN is in no range.
  if (!(min_lr >= 0 && min_lr <= max_lr && max_lr <= kLargest)) {
    return absl::InvalidArgumentError(
        absl::StrCat("min_lr is ", min_lr, " and max_lr ", max_lr,
                     ", expected finite numbers, 0 <= min_lr <= max_lr"));
  }
  const bool log = scale == LrScale::kLog;
  if (log && min_lr == 0) {
    return absl::InvalidArgumentError(
        "min_lr is 0, expected a number above 0: the scale is logarithmic");
  }
  std::vector<OptimizerConfig> configs;
  for (int k = 0; k < num_models; ++k) {
    const double share = num_models == 1 ? 0.0 : k / (num_models - 1.0);
    const double lr = k > 0 && k == num_models - 1 ? max_lr
                      : k == 0                     ? min_lr
                      // Whose ratio may be beyond double.
                      : log ? std::exp(std::log(min_lr) * (1 - share) +
                                       std::log(max_lr) * share)
                            : min_lr + (max_lr - min_lr) * share;
    configs.push_back({{"lr", lr}});
  }
  return configs;
}

}  // namespace modelbatch
