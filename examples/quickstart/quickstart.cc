// Trains 8 networks at once, each with its own learning rate, to tell whether a
// point lies inside a circle.
#include <cstdio>
#include <random>
#include <vector>

#include "modelbatch/modelbatch.h"

using namespace modelbatch;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

int main() {
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
    models.push_back(
        {i, DeriveSeed(1, i), ModelSpec({2}).Linear(32).Relu().Linear(2)});
    configs.push_back({{"lr", 1e-4 * (1 << i)}});
  }

  auto backend = CreateBackend("cpu");
  if (!backend.ok()) return Fail(backend.status());
  auto data = (*backend)->CreateDataset(Tensor::FromVector(points, {kRows, 2}),
                                        Tensor::FromVector(inside, {kRows}));
  if (!data.ok()) return Fail(data.status());
  auto batch =
      ModelBatch::Create(backend->get(), models, {"cross_entropy", {}}, kRows);
  if (!batch.ok()) return Fail(batch.status());
  auto adam = OptimizerFactory("adam").CreateOptimizer(batch->get(), configs);
  if (!adam.ok()) return Fail(adam.status());

  for (int step = 0; step < 300; ++step) {
    absl::Status status = (*batch)->TrainStep(**data, {rows, {}}, *adam);
    if (!status.ok()) return Fail(status);
  }
  EvaluateResult result;
  absl::Status status = (*batch)->Evaluate(**data, {rows, {}}, &result);
  if (!status.ok()) return Fail(status);
  for (int i = 0; i < kModels; ++i) {
    std::printf("lr %.4f: loss %.3f, %d of %d right\n", configs[i]["lr"],
                result.losses[i], static_cast<int>(result.correct[i]), kRows);
  }
}
