// What the metrics of classes and of values share: tensors of several models.
// Private to metrics/.
#ifndef MODELBATCH_METRICS_BY_MODEL_H_
#define MODELBATCH_METRICS_BY_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

// "targets are int64 [3], expected ..."
absl::Status UnexpectedTensor(const char* what, const Tensor& found,
                              const std::string& expected);

// "model 3: ..."
absl::Status InModelNumber(size_t model, const absl::Status& status);

// Whether there is one tensor of targets a model; InvalidArgument when there is
// neither that nor one in all.
absl::Status CheckTargetsOfModels(size_t models, size_t targets);

// The targets of one model.
inline const Tensor& TargetsOfModel(absl::Span<const Tensor> targets,
                                    size_t model) {
  return targets[targets.size() == 1 ? 0 : model];
}

// Of a removed model: shape [0].
inline bool NoOutputs(const Tensor& outputs) {
  return outputs.shape() == Shape{0};
}

// Of each model what `Counter` makes of its outputs and targets; a removed
// model has none. columns(outputs) is what the counter is created for.
template <typename Counter, typename Metrics, typename Options,
          typename Columns>
absl::StatusOr<std::vector<Metrics>> CountByModel(
    absl::Span<const Tensor> outputs, absl::Span<const Tensor> targets,
    const Options& options, Columns columns) {
  MB_RETURN_IF_ERROR(CheckTargetsOfModels(outputs.size(), targets.size()));
  std::vector<Metrics> result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (NoOutputs(outputs[i])) {
      result.emplace_back();
      continue;
    }
    auto counter = Counter::Create(columns(outputs[i]), options);
    if (!counter.ok()) return InModelNumber(i, counter.status());
    const absl::Status status =
        counter->Add(outputs[i], TargetsOfModel(targets, i));
    if (!status.ok()) return InModelNumber(i, status);
    result.push_back(counter->Metrics());
  }
  return result;
}

// The entries of [num_models, batch, ...].
absl::StatusOr<std::vector<Tensor>> OutputsOfModels(const Tensor& outputs);

// The targets for such outputs: one tensor that all models share or one a
// model, by the number of dimensions, of which a model's own have `rank`.
absl::StatusOr<std::vector<Tensor>> TargetsForOutputs(const Tensor& outputs,
                                                      const Tensor& targets,
                                                      size_t rank);

}  // namespace modelbatch

#endif  // MODELBATCH_METRICS_BY_MODEL_H_
