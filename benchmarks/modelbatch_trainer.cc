#include "benchmarks/modelbatch_trainer.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace modelbatch::benchmarks {
namespace {

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Take(absl::StatusOr<T> result) {
  Check(result.status());
  return *std::move(result);
}

}  // namespace

ModelBatchTrainer::ModelBatchTrainer(const Workload& workload,
                                     const std::string& backend, int threads)
    : workload_(workload) {
  Attributes options;
  if (threads > 0) options["threads"] = static_cast<int64_t>(threads);
  backend_ = Take(CreateBackend(backend, options));
  const int64_t rows = static_cast<int64_t>(workload.classes.size());
  dataset_ = Take(backend_->CreateDataset(
      Tensor::FromVector(workload.features, {rows, Workload::kInputs}),
      Tensor::FromVector(workload.classes, {rows})));
  std::vector<ModelInstance> models;
  std::vector<OptimizerConfig> configs;
  for (int i = 0; i < workload.models(); ++i) {
    models.push_back({i, workload.seeds[i], workload.Spec(i)});
    configs.push_back({{"lr", workload.rates[i]}});
  }
  batch_ = Take(ModelBatch::Create(backend_.get(), std::move(models),
                                   {"cross_entropy", {}}, Workload::kRows));
  optimizer_ = std::make_unique<Optimizer>(
      Take(OptimizerFactory("adam").CreateOptimizer(batch_.get(), configs)));
  for (int64_t row = 0; row < rows; ++row) {
    rows_.push_back(static_cast<int32_t>(row));
  }
}

void ModelBatchTrainer::Reset() {
  Check(batch_->SetOptimizer("adam"));  // zeroes its state
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

void ModelBatchTrainer::Run(int steps) {
  for (int step = 0; step < steps; ++step) {
    const int64_t first = step % Workload::kBatches * Workload::kRows;
    const absl::Span<const int32_t> rows(rows_.data() + first, Workload::kRows);
    Check(batch_->TrainStep(*dataset_, {rows, {}}, *optimizer_));
  }
}

void ModelBatchTrainer::CopyWeights(float* out) {
  for (int i = 0; i < batch_->num_models(); ++i) {
    const ModelState state = Take(batch_->GetModelState(i));
    for (const Parameter& parameter : batch_->layout(i).parameters) {
      const Tensor& value = state.slots.at("param").at(parameter.name);
      out = std::copy_n(value.data<float>(), value.size(), out);
    }
  }
}

SessionStats ModelBatchTrainer::Stats() {
  return Take(batch_->session().Stats());
}

}  // namespace modelbatch::benchmarks
