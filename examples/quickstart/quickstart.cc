// Trains 8 networks at once, each with its own learning rate, to tell whether a
// point lies inside a circle.
#include <cstdio>
#include <random>
#include <vector>

#include "modelbatch/modelbatch.h"
#include "modelbatch/util/status_macros.h"

using namespace modelbatch;

absl::Status Run() {
  const int kModels = 8, kRows = 256;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> points;
  std::vector<int64_t> inside;
  std::vector<int32_t> rows;
  for (int row = 0; row < kRows; ++row) {
    const float x = uniform(random), y = uniform(random);
    points.insert(points.end(), {x, y});
    inside.push_back(x * x + y * y < 0.6f);
    rows.push_back(row);
  }
  std::vector<ModelInstance> models;
  std::vector<OptimizerConfig> configs;
  for (int i = 0; i < kModels; ++i) {
    const ModelSpec spec = ModelSpec({2}).Linear(32).Relu().Linear(2);
    models.push_back({i, DeriveSeed(1, i), spec});
    configs.push_back({{"lr", 1e-4 * (1 << i)}});
  }

  MB_ASSIGN_OR_RETURN(auto backend, CreateBackend("cpu"));
  MB_ASSIGN_OR_RETURN(
      auto data, backend->CreateDataset(Tensor::FromVector(points, {kRows, 2}),
                                        Tensor::FromVector(inside, {kRows})));
  MB_ASSIGN_OR_RETURN(
      auto batch,
      ModelBatch::Create(backend.get(), models, {"cross_entropy", {}}, kRows));
  MB_ASSIGN_OR_RETURN(auto adam, OptimizerFactory("adam").CreateOptimizer(
                                     batch.get(), configs));
  for (int step = 0; step < 300; ++step) {
    MB_RETURN_IF_ERROR(batch->TrainStep(*data, {rows, {}}, adam));
  }
  EvaluateResult result;
  MB_RETURN_IF_ERROR(batch->Evaluate(*data, {rows, {}}, &result));
  for (int i = 0; i < kModels; ++i) {
    std::printf("lr %.4f: loss %.3f, %d of %d right\n", configs[i]["lr"],
                result.losses[i], static_cast<int>(result.correct[i]), kRows);
  }
  return absl::OkStatus();
}

int main() {
  const absl::Status status = Run();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
