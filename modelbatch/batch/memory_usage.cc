#include "modelbatch/batch/memory_usage.h"

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "modelbatch/batch/model_batch.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Measured with glibc's allocator, of networks of three to seven operators.
constexpr int64_t kBytesPerModel = 900;
constexpr int64_t kBytesPerOperatorOrParameter = 450;

}  // namespace

absl::StatusOr<int64_t> CountParameters(const ModelSpec& spec) {
  MB_ASSIGN_OR_RETURN(const Layout layout, InferLayout(spec));
  return layout.num_parameters();
}

absl::StatusOr<MemoryUsage> EstimateMemoryUsage(
    Backend* backend, absl::Span<const ModelInstance> models,
    const LossSpec& loss, int64_t max_rows, const std::string& optimizer,
    const OptimizerConfig& hyper_parameters, bool keep_gradients,
    const Attributes& options) {
  int64_t states = 0;   // tensors a parameter
  int64_t numbers = 0;  // a model
  if (optimizer != "none") {
    MB_ASSIGN_OR_RETURN(
        const Optimizer settings,
        Optimizer::Create(optimizer, hyper_parameters, {OptimizerConfig()}));
    for (const OptimizerState& state : settings.info().state) {
      if (settings.Needs(state)) ++(state.per_model ? numbers : states);
    }
  }
  MemoryUsage usage;
  std::vector<ModelInstance> distinct;
  std::set<std::vector<Shape>> seen;
  for (const ModelInstance& model : models) {
    absl::StatusOr<Layout> layout = InferLayout(model.spec);
    if (!layout.ok()) {
      return batch_internal::InModel(model, layout.status());
    }
    usage.parameters +=
        layout->num_parameters() * static_cast<int64_t>(sizeof(float));
    usage.descriptions +=
        kBytesPerModel + kBytesPerOperatorOrParameter *
                             static_cast<int64_t>(layout->outputs.size() +
                                                  layout->parameters.size());
    // Outputs decide the workspace, and with the input the parameters.
    if (seen.insert(layout->outputs).second) distinct.push_back(model);
  }
  usage.optimizer =
      states * usage.parameters +
      numbers * static_cast<int64_t>(models.size() * sizeof(float));
  if (keep_gradients) usage.gradients = usage.parameters;
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<ModelBatch> batch,
                      ModelBatch::Create(backend, std::move(distinct), loss,
                                         max_rows, options));
  MB_ASSIGN_OR_RETURN(const SessionStats stats, batch->session().Stats());
  usage.workspace = stats.workspace_bytes;
  return usage;
}

}  // namespace modelbatch
