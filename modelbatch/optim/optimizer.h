// Optimizers with their own hyper-parameters for every model: each
// hyper-parameter is a column of one value a model, and one fused update
// serves all.
//
//   auto optimizer = Optimizer::Create("adam", {{"weight_decay", 1e-4}},
//                                      {{{"lr", 1e-3}}, {{"lr", 3e-3}}});
//
// OptimizerFactory ties one to a ModelBatch.
#ifndef MODELBATCH_OPTIM_OPTIMIZER_H_
#define MODELBATCH_OPTIM_OPTIMIZER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch {

using OptimizerConfig = std::map<std::string, double>;

// The hyper-parameters of a population, checked. Copyable.
class Optimizer {
 public:
  // `configs` has one entry a model; `base` holds what all models share; what
  // neither names has PyTorch's default. Errors name model and value.
  static absl::StatusOr<Optimizer> Create(
      const std::string& kind, const OptimizerConfig& base,
      absl::Span<const OptimizerConfig> configs);

  const OptimizerInfo& info() const { return *info_; }
  int num_models() const { return num_models_; }

  // What a step sends to the backend.
  absl::Span<const Column> columns() const { return columns_; }

  // Whether a model has this state by its hyper-parameters.
  bool Needs(const OptimizerState& state) const;

  // Changes one value between two steps: a hyper-parameter of the optimizer, or
  // one of GradientHyperParameters. InvalidArgument names model and
  // hyper-parameter.
  absl::Status Set(int model, const std::string& name, double value);
  absl::StatusOr<double> Get(int model, const std::string& name) const;

 private:
  Optimizer() = default;
  absl::Status CheckModel(int model) const;
  absl::StatusOr<double*> Find(int model, const std::string& name);

  const OptimizerInfo* info_ = nullptr;
  int num_models_ = 0;
  std::vector<Column> columns_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_H_
