// How much memory a population takes, before it is there.
//
//   MB_ASSIGN_OR_RETURN(
//       MemoryUsage usage,
//       EstimateMemoryUsage(backend, models, {"cross_entropy"}, 64, "adam"));
//   if (usage.total() > budget) ...
#ifndef MODELBATCH_BATCH_MEMORY_USAGE_H_
#define MODELBATCH_BATCH_MEMORY_USAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/optim/optimizer.h"

namespace modelbatch {

// Elements of all parameters of a model. InvalidArgument as InferLayout.
absl::StatusOr<int64_t> CountParameters(const ModelSpec& spec);

// Bytes.
struct MemoryUsage {
  int64_t parameters = 0;
  int64_t gradients = 0;  // that are kept between calls: 0 unless asked for
  int64_t optimizer = 0;  // its state
  int64_t workspace = 0;  // whatever else the backend's session holds
  // The models' graphs, shapes and plans on the host, roughly: of matter where
  // models are tiny.
  int64_t descriptions = 0;

  int64_t total() const {
    return parameters + gradients + optimizer + workspace + descriptions;
  }
};

// What a ModelBatch of these models will hold on `backend`, its dataset not
// counted. `optimizer`: its kind, or "none"; `hyper_parameters`: what any of
// the models has that is not the default, as {{"momentum", 0.9}}, which decides
// on some states. `keep_gradients`: for Backward and Accumulate. Compiles one
// model of each distinct shape, so the backend's own figures are in it; a
// backend that does not tell its workspace (libtorch allocates within a step)
// counts none. Errors as ModelBatch::Create.
absl::StatusOr<MemoryUsage> EstimateMemoryUsage(
    Backend* backend, absl::Span<const ModelInstance> models,
    const LossSpec& loss, int64_t max_rows, const std::string& optimizer,
    const OptimizerConfig& hyper_parameters = {}, bool keep_gradients = false,
    const Attributes& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_MEMORY_USAGE_H_
