// Trains the same 8 networks on every backend of a folder of plugins and
// compares the weights, bit by bit, with those of the first:
//
//   compare FOLDER
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"

namespace {

using modelbatch::ModelBatch;
using modelbatch::Tensor;

constexpr int kModels = 8;
constexpr int kRows = 256;

// What training left behind.
struct Trained {
  int64_t best = 0;           // rows that the best network has right
  std::vector<uint8_t> bits;  // of all weights
};

// Whether a point lies inside a circle: each network has its own learning rate.
absl::StatusOr<Trained> Train(const std::string& plugin) {
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
  std::vector<modelbatch::ModelInstance> models;
  std::vector<modelbatch::OptimizerConfig> configs;
  for (int i = 0; i < kModels; ++i) {
    models.push_back({i, modelbatch::DeriveSeed(1, i),
                      modelbatch::ModelSpec({2}).Linear(32).Relu().Linear(2)});
    configs.push_back({{"lr", 1e-4 * (1 << i)}});
  }

  // A path loads that file; a name would be looked for in the usual folders.
  MB_ASSIGN_OR_RETURN(auto backend, modelbatch::CreateBackend(plugin));
  MB_ASSIGN_OR_RETURN(
      auto data, backend->CreateDataset(Tensor::FromVector(points, {kRows, 2}),
                                        Tensor::FromVector(inside, {kRows})));
  MB_ASSIGN_OR_RETURN(
      auto batch,
      ModelBatch::Create(backend.get(), models, {"cross_entropy", {}}, kRows));
  MB_ASSIGN_OR_RETURN(auto adam,
                      modelbatch::OptimizerFactory("adam").CreateOptimizer(
                          batch.get(), configs));
  for (int step = 0; step < 300; ++step) {
    MB_RETURN_IF_ERROR(batch->TrainStep(*data, {rows, {}}, adam));
  }
  modelbatch::EvaluateResult result;
  MB_RETURN_IF_ERROR(batch->Evaluate(*data, {rows, {}}, &result));

  Trained trained;
  for (int i = 0; i < kModels; ++i) {
    if (result.correct[i] > trained.best) trained.best = result.correct[i];
    MB_ASSIGN_OR_RETURN(const modelbatch::ModelState state,
                        batch->GetModelState(i));
    for (const auto& [name, value] : state.slots.at("param")) {
      const auto* const bytes = static_cast<const uint8_t*>(value.raw());
      trained.bits.insert(trained.bits.end(), bytes, bytes + value.byte_size());
    }
  }
  return trained;
}

absl::Status Run(const std::string& folder) {
  modelbatch::SearchEnvironment environment;
  environment.plugin_path = folder;  // as $MODELBATCH_PLUGIN_PATH
  const std::vector<modelbatch::FoundPlugin> plugins =
      modelbatch::ListPlugins(environment);
  if (plugins.empty()) {
    return absl::NotFoundError("no libmodelbatch_<name>.so in " + folder);
  }
  Trained first;
  for (const modelbatch::FoundPlugin& plugin : plugins) {
    MB_ASSIGN_OR_RETURN(Trained trained, Train(plugin.path));
    std::string comparison;
    if (first.bits.empty()) {
      first = trained;
    } else {
      comparison = (trained.bits == first.bits ? ", the same bits as "
                                               : ", other bits than ") +
                   plugins[0].name;
    }
    std::printf("%s: %d networks, the best has %d of %d right%s\n",
                plugin.name.c_str(), kModels, static_cast<int>(trained.best),
                kRows, comparison.c_str());
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const absl::Status status = Run(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
