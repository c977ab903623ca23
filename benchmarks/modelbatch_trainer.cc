#include "benchmarks/modelbatch_trainer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmarks/check.h"
#include "modelbatch/backend/features.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {

absl::Status CheckCanTrain(const Capabilities& capabilities,
                           const Workload& workload,
                           const TrainerOptions& options) {
  const auto check = [](const char* what, const std::string& name,
                        const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      return absl::OkStatus();
    }
    return absl::UnimplementedError(
        absl::StrCat("the backend lacks ", what, " \"", name, "\""));
  };
  for (const Operator& op : workload.specs[0].operators()) {
    MB_RETURN_IF_ERROR(check("operator", op.kind, capabilities.operators));
  }
  for (const Layout& layout : workload.layouts) {
    if (layout.outputs == workload.layouts[0].outputs) continue;
    MB_RETURN_IF_ERROR(check("feature", "mixed_widths", capabilities.features));
  }
  if (!workload.batches[0].shared()) {
    MB_RETURN_IF_ERROR(check("feature", "ragged_rows", capabilities.features));
  }
  MB_RETURN_IF_ERROR(check("loss", "cross_entropy", capabilities.losses));
  if (options.compile) {
    MB_RETURN_IF_ERROR(check("feature", "tuning", capabilities.features));
  }
  if (options.precision != "fp32") {  // every backend has that
    MB_RETURN_IF_ERROR(
        check("precision", options.precision, capabilities.precisions));
  }
  return check("optimizer", "adam", capabilities.optimizers);
}

std::unique_ptr<Backend> MakeBackend(const std::string& backend, int threads) {
  Attributes options;
  if (threads > 0) options["threads"] = static_cast<int64_t>(threads);
  return Take(CreateBackend(backend, options));
}

std::unique_ptr<Dataset> MakeDataset(Backend& backend,
                                     const Workload& workload) {
  Shape features = {workload.num_rows()};
  features.insert(features.end(), workload.input.begin(), workload.input.end());
  return Take(backend.CreateDataset(
      Tensor::FromVector(workload.features, features),
      Tensor::FromVector(workload.labels, {workload.num_rows()})));
}

std::vector<ModelInstance> Instances(const Workload& workload) {
  std::vector<ModelInstance> models;
  for (int i = 0; i < workload.models(); ++i) {
    models.push_back({i, workload.seeds[i], workload.specs[i]});
  }
  return models;
}

namespace {

Attributes CompileOptions(const TrainerOptions& options) {
  if (options.precision == "fp32") return {};
  return {{"precision", options.precision}};
}

}  // namespace

ModelBatchTrainer::ModelBatchTrainer(const Workload& workload,
                                     const std::string& backend, int threads,
                                     const TrainerOptions& options)
    : workload_(workload),
      compiled_(options.compile),
      backend_(MakeBackend(backend, threads)),
      steps_at_once_(StepsThatPay(*backend_)),
      dataset_(MakeDataset(*backend_, workload)),
      batch_(Take(ModelBatch::Create(backend_.get(), Instances(workload),
                                     {"cross_entropy", {}}, workload.max_rows,
                                     CompileOptions(options)))) {
  SetOptimizer("adam");
  if (compiled_) Check(batch_->EnableCompile().status());
}

void ModelBatchTrainer::SetOptimizer(const std::string& kind) {
  std::vector<OptimizerConfig> configs;
  for (const double rate : workload_.rates) configs.push_back({{"lr", rate}});
  optimizer_ = std::make_unique<Optimizer>(
      Take(OptimizerFactory(kind).CreateOptimizer(batch_.get(), configs)));
}

void ModelBatchTrainer::Reset() {
  if (compiled_) {
    ZeroState();
  } else {
    Check(batch_->SetOptimizer(optimizer_->info().kind));  // zeroes its state
  }
  for (int i = 0; i < batch_->num_models(); ++i) {
    const float* from = workload_.initial[i].data();
    for (const Parameter& parameter : batch_->layout(i).parameters) {
      Tensor value = Tensor::Zeros(DType::kFloat32, parameter.shape);
      std::copy_n(from, value.size(), value.data<float>());
      from += value.size();
      Check(batch_->session().WriteState(i, "param", parameter.name, value));
    }
  }
}

// In place: what was recorded for a compiled step knows where the state lies.
void ModelBatchTrainer::ZeroState() {
  const Tensor no_steps = Tensor::Zeros(DType::kInt64, {});
  for (int i = 0; i < batch_->num_models(); ++i) {
    Check(batch_->session().WriteState(i, "step", "", no_steps));
    for (const Parameter& parameter : batch_->layout(i).parameters) {
      const Tensor zeros = Tensor::Zeros(DType::kFloat32, parameter.shape);
      for (const OptimizerState& state : optimizer_->info().state) {
        if (state.per_model) continue;
        Check(
            batch_->session().WriteState(i, state.name, parameter.name, zeros));
      }
    }
  }
}

void ModelBatchTrainer::Run(int steps) {
  std::vector<BatchStep> call;
  for (int step = 0; step < steps; ++step) {
    const RoutedRows& rows = workload_.batches[step % Workload::kBatches];
    if (steps_at_once_ == 1) {
      Check(batch_->TrainStep(*dataset_, rows.view(), *optimizer_));
      continue;
    }
    call.push_back({rows.view(), optimizer_.get()});
    if (call.size() < steps_at_once_ && step + 1 < steps) continue;
    Check(batch_->TrainSteps(*dataset_, call));
    call.clear();
  }
}

void ModelBatchTrainer::CopyWeights(float* out) {
  for (int i = 0; i < batch_->num_models(); ++i) {
    for (const Parameter& parameter : batch_->layout(i).parameters) {
      const Tensor value = Take(batch_->GetParameter(i, parameter.name));
      out = std::copy_n(value.data<float>(), value.size(), out);
    }
  }
}

}  // namespace modelbatch::benchmarks
