// How ModelBatch's messages name a model.
#ifndef MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_
#define MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch::batch_internal {

inline std::string ModelName(const ModelInstance& model) {
  return absl::StrCat("model ", model.id);
}

inline absl::Status InModel(const ModelInstance& model,
                            const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(ModelName(model), ": ", status.message()));
}

}  // namespace modelbatch::batch_internal

#endif  // MODELBATCH_BATCH_MODEL_BATCH_INTERNAL_H_
