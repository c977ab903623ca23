// What the parts of ModelBatch share: how messages name a model, and its first
// values.
#ifndef MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_
#define MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/initialize.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::batch_internal {

inline std::string ModelName(const ModelInstance& model) {
  return absl::StrCat("model ", model.id);
}

inline absl::Status InModel(const ModelInstance& model,
                            const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(ModelName(model), ": ", status.message()));
}

// OK when `value` can be the parameter's; the message begins with `name`.
inline absl::Status CheckValue(const std::string& name, const Tensor& value,
                               const Parameter& parameter) {
  if (value.dtype() == DType::kFloat32 && value.shape() == parameter.shape) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      name, " is ", DTypeName(value.dtype()), " ", ShapeToString(value.shape()),
      ", expected float32 ", ShapeToString(parameter.shape)));
}

// Every parameter's initial value, in a session's slot.
inline absl::Status WriteInitialValues(Session& session, int slot,
                                       const Layout& layout, uint64_t seed) {
  for (size_t p = 0; p < layout.parameters.size(); ++p) {
    absl::Status status =
        session.WriteState(slot, "param", layout.parameters[p].name,
                           InitialValue(layout, static_cast<int>(p), seed));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

inline absl::StatusOr<TuneReport> Tune(Session& session,
                                       const TuneOptions& options) {
  Attributes attributes = {{"time_ms", options.time_ms}};
  if (!options.cache.empty()) attributes["cache"] = options.cache;
  return session.Tune(attributes);
}

}  // namespace modelbatch::batch_internal

#endif  // MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_
