#include "modelbatch/optim/optimizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status Unknown(const OptimizerInfo& info, const std::string& name) {
  std::vector<std::string> names;
  for (const HyperParameter& h : info.hyper_parameters) names.push_back(h.name);
  for (const HyperParameter& h : GradientHyperParameters()) {
    names.push_back(h.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("optimizer ", info.kind, " has no hyper-parameter \"", name,
                   "\"; it has: ", absl::StrJoin(names, ", ")));
}

absl::Status InModel(int model, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("model ", model, ": ", status.message()));
}

// Rules that tie one model's values together, as torch.optim checks them.
absl::Status CheckTogether(const OptimizerInfo& info, const Optimizer& columns,
                           int model) {
  if (info.kind != "sgd") return absl::OkStatus();
  MB_ASSIGN_OR_RETURN(const double nesterov, columns.Get(model, "nesterov"));
  MB_ASSIGN_OR_RETURN(const double momentum, columns.Get(model, "momentum"));
  MB_ASSIGN_OR_RETURN(const double dampening, columns.Get(model, "dampening"));
  if (nesterov == 1 && (momentum <= 0 || dampening != 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "nesterov needs momentum above 0 and dampening 0, found momentum ",
        momentum, " and dampening ", dampening));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Optimizer::CheckModel(int model) const {
  if (model >= 0 && model < num_models_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model ", model, " does not exist, expected 0 to ", num_models_ - 1));
}

bool Optimizer::Needs(const OptimizerState& state) const {
  if (state.needed_by.empty()) return true;
  for (const Column& column : columns_) {
    if (column.name == state.needed_by) {
      return std::any_of(column.values.begin(), column.values.end(),
                         [](double value) { return value != 0; });
    }
  }
  return false;
}

absl::StatusOr<double*> Optimizer::Find(int model, const std::string& name) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  for (Column& column : columns_) {
    if (column.name == name) return &column.values[model];
  }
  const HyperParameter* h = info_->Find(name);
  if (h == nullptr) return Unknown(*info_, name);
  // Columns for gradients, and optional ones, are there from when somebody
  // wants one.
  columns_.push_back(
      {name, std::vector<double>(num_models_, h->default_value)});
  return &columns_.back().values[model];
}

absl::StatusOr<double> Optimizer::Get(int model,
                                      const std::string& name) const {
  MB_RETURN_IF_ERROR(CheckModel(model));
  for (const Column& column : columns_) {
    if (column.name == name) return column.values[model];
  }
  const HyperParameter* h = info_->Find(name);
  if (h == nullptr) return Unknown(*info_, name);
  return h->default_value;
}

absl::Status Optimizer::Set(int model, const std::string& name, double value) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  if (const HyperParameter* h = info_->Find(name); h != nullptr) {
    absl::Status status = h->Check(value);
    if (!status.ok()) return InModel(model, status);
  }
  MB_ASSIGN_OR_RETURN(const double now, Get(model, name));
  if (value == now) return absl::OkStatus();
  MB_ASSIGN_OR_RETURN(double* target, Find(model, name));
  const double before = *target;
  *target = value;
  if (absl::Status status = CheckTogether(*info_, *this, model); !status.ok()) {
    *target = before;
    return InModel(model, status);
  }
  return absl::OkStatus();
}

absl::StatusOr<Optimizer> Optimizer::Create(
    const std::string& kind, const OptimizerConfig& base,
    absl::Span<const OptimizerConfig> configs) {
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info, FindOptimizer(kind));
  Optimizer optimizer;
  optimizer.info_ = info;
  optimizer.num_models_ = static_cast<int>(configs.size());
  for (const HyperParameter& h : info->hyper_parameters) {
    if (h.optional) continue;
    optimizer.columns_.push_back(
        {h.name, std::vector<double>(configs.size(), h.default_value)});
  }
  for (int model = 0; model < optimizer.num_models_; ++model) {
    OptimizerConfig config = configs[model];
    config.insert(base.begin(), base.end());  // the model's own value wins
    // All values first: the rules that tie them hold for the whole only.
    for (const auto& [name, value] : config) {
      const HyperParameter* h = info->Find(name);
      absl::Status status =
          h == nullptr ? Unknown(*info, name) : h->Check(value);
      if (!status.ok()) return InModel(model, status);
      if (h->optional && value == h->default_value) continue;
      *optimizer.Find(model, name).value() = value;
    }
    if (absl::Status status = CheckTogether(*info, optimizer, model);
        !status.ok()) {
      return InModel(model, status);
    }
  }
  return optimizer;
}

}  // namespace modelbatch
