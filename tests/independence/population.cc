#include "tests/independence/population.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kDatasetRows = 150, kFeatures = 19, kOutputs = 5;
constexpr int64_t kSharedRows = 32, kMostRaggedRows = 41;

std::string BitDifference(const std::string& name, const void* a, const void* b,
                          size_t size) {
  return std::memcmp(a, b, size) == 0 ? "" : name + " differs";
}

}  // namespace

const char* GraphName(GraphKind graph) {
  switch (graph) {
    case GraphKind::kPlain:
      return "Plain";
    case GraphKind::kDropout:
      return "Dropout";
    case GraphKind::kNorm:
      return "Norm";
    case GraphKind::kRegression:
      return "Regression";
  }
  return "";
}

std::string Difference(const ModelState& a, const ModelState& b) {
  if (a.step != b.step) return "another number of updates";
  if (a.slots.size() != b.slots.size()) return "other slots";
  for (const auto& [slot, tensors] : a.slots) {
    const auto other = b.slots.find(slot);
    if (other == b.slots.end()) return "no slot " + slot;
    if (tensors.size() != other->second.size()) return "other tensors";
    for (const auto& [name, value] : tensors) {
      const auto it = other->second.find(name);
      const std::string what = absl::StrCat(slot, " of ", name);
      if (it == other->second.end()) return "no " + what;
      if (value.shape() != it->second.shape()) return "other shape: " + what;
      const std::string difference =
          BitDifference(what, value.raw(), it->second.raw(), value.byte_size());
      if (!difference.empty()) return difference;
    }
  }
  return "";
}

std::string Difference(const Trajectory& a, const Trajectory& b) {
  if (a.losses.size() != b.losses.size()) return "another number of steps";
  for (size_t step = 0; step < a.losses.size(); ++step) {
    if (a.outcomes[step] != b.outcomes[step]) {
      return absl::StrCat("outcome of step ", step, " is \"",
                          OutcomeName(a.outcomes[step]), "\" and \"",
                          OutcomeName(b.outcomes[step]), "\"");
    }
    if (std::memcmp(&a.losses[step], &b.losses[step], sizeof(float)) != 0) {
      return absl::StrCat("loss of step ", step, " is ", a.losses[step],
                          " and ", b.losses[step]);
    }
  }
  const std::string state = Difference(a.state, b.state);
  if (!state.empty()) return state;
  if (a.correct != b.correct) return "another number of right answers";
  return BitDifference("evaluation loss", &a.evaluation_loss,
                       &b.evaluation_loss, sizeof(double));
}

Population::Population(GraphKind graph, std::string optimizer, Rows rows)
    : graph_(graph), optimizer_(std::move(optimizer)), rows_(rows) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int64_t> uniform(0, kOutputs - 1);
  for (int64_t i = 0; i < kDatasetRows * kFeatures; ++i) {
    features_.push_back(normal(random));
  }
  for (int64_t i = 0; i < kDatasetRows; ++i) {
    classes_.push_back(uniform(random));
  }
  for (int64_t i = 0; i < kDatasetRows * kOutputs; ++i) {
    values_.push_back(normal(random));
  }
}

ModelInstance Population::Member(int64_t id) const {
  constexpr int64_t kWidths[] = {1, 7, 8, 16, 33, 40, 64, 5, 24};
  const int64_t width = kWidths[id % std::size(kWidths)];
  const double p = 0.1 * static_cast<double>(id % 7);
  ModelSpec spec({kFeatures});
  switch (graph_) {
    case GraphKind::kPlain:
      spec.Linear(width).Relu().Linear(kOutputs);
      break;
    case GraphKind::kDropout:
      spec.Dropout(p / 2).Linear(width).Relu().Dropout(p).Linear(kOutputs);
      break;
    case GraphKind::kNorm:
      spec.Linear(width).LayerNorm().Gelu().Linear(width).Add(2).LayerNorm();
      spec.Gelu("tanh").Dropout(p).Linear(kOutputs);
      break;
    case GraphKind::kRegression:
      spec.Flatten().Linear(width, /*bias=*/false).Tanh().Linear(width);
      spec.Sigmoid().Linear(kOutputs);
      break;
  }
  return {id, DeriveSeed(23, static_cast<uint64_t>(id)), std::move(spec)};
}

OptimizerConfig Population::Config(int64_t id) const {
  const double share = static_cast<double>(id % 11) / 10;
  const bool odd = id % 2 == 1;
  OptimizerConfig config;
  if (optimizer_ == "sgd") {
    config = {{"lr", 0.01 + 0.2 * share}, {"momentum", 0.9 * share}};
    if (id % 3 == 0) config["weight_decay"] = 1e-3;
    if (id % 4 == 1 && share > 0) config["nesterov"] = 1;
  } else if (optimizer_ == "rmsprop") {
    config = {{"lr", 1e-3 + 1e-2 * share}, {"alpha", 0.5 + 0.45 * share}};
    if (id % 3 == 0) config["momentum"] = 0.5;
    if (odd) config["centered"] = 1;
  } else if (optimizer_ == "adagrad") {
    config = {{"lr", 1e-2 + 0.1 * share}, {"lr_decay", 0.1 * share}};
    if (odd) config["initial_accumulator_value"] = 0.1;
  } else if (optimizer_ == "adadelta") {
    config = {{"lr", 0.5 + 0.5 * share}, {"rho", 0.5 + 0.45 * share}};
    if (odd) config["eps"] = 1e-4;
  } else {  // adam and its kin, lion
    config = {{"lr", 1e-3 + 1e-2 * share}, {"beta1", 0.5 + 0.45 * share}};
    if (id % 3 != 0) config["weight_decay"] = 0.01 * share;
    const bool decoupled = optimizer_ == "nadam" || optimizer_ == "radam";
    if (odd && decoupled) config["decoupled_weight_decay"] = 1;
    if (odd && (optimizer_ == "adam" || optimizer_ == "adamw")) {
      config["amsgrad"] = 1;
    }
    if (optimizer_ == "nadam") config["momentum_decay"] = 0.1 * share;
    // Steps of one size may lead back to the bits of before.
    if (optimizer_ == "lion") config["weight_decay"] = 0.01 + 0.01 * share;
  }
  if (optimizer_ != "sgd" && id % 7 == 3) config["maximize"] = 1;
  const auto factor = rate_factors.find(id);
  if (factor != rate_factors.end()) config["lr"] *= factor->second;
  return config;
}

std::vector<int32_t> Population::RowsOf(int64_t id, int64_t step) const {
  uint64_t seed = static_cast<uint64_t>(step);
  int64_t count = kSharedRows;
  if (rows_ == Rows::kRagged) {
    seed += 1000 * static_cast<uint64_t>(id + 1);
    count = 1 + (id * 13 + step * 5) % kMostRaggedRows;
    const bool empty = std::find(often_empty.begin(), often_empty.end(), id) !=
                       often_empty.end();
    if (empty && step % 2 == 1) count = 0;
  }
  std::mt19937_64 random(seed);
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < count; ++i) {
    rows.push_back(static_cast<int32_t>(random() % kDatasetRows));
  }
  return rows;
}

absl::StatusOr<std::map<int64_t, Trajectory>> Population::Train(
    const std::string& backend_name, const Batch& batch) const {
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      CreateBackend(backend_name, batch.options));
  const bool regression = graph_ == GraphKind::kRegression;
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<Dataset> dataset,
      backend->CreateDataset(
          Tensor::FromVector(features_, {kDatasetRows, kFeatures}),
          regression ? Tensor::FromVector(values_, {kDatasetRows, kOutputs})
                     : Tensor::FromVector(classes_, {kDatasetRows})));

  // The row sets first: they say for how many rows to compile.
  struct StepRows {
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets;
  };
  std::vector<StepRows> steps;
  size_t max_rows = 1;
  for (int64_t step = batch.first_step; step < batch.last_step; ++step) {
    StepRows set;
    if (rows_ == Rows::kShared) {
      set.rows = RowsOf(0, step);
      max_rows = std::max(max_rows, set.rows.size());
    } else {
      set.offsets.push_back(0);
      for (int64_t id : batch.ids) {
        const std::vector<int32_t> own = RowsOf(id, step);
        set.rows.insert(set.rows.end(), own.begin(), own.end());
        set.offsets.push_back(static_cast<int64_t>(set.rows.size()));
        max_rows = std::max(max_rows, own.size());
      }
    }
    steps.push_back(std::move(set));
  }

  std::vector<ModelInstance> models;
  std::vector<OptimizerConfig> configs;
  for (int64_t id : batch.ids) {
    models.push_back(Member(id));
    configs.push_back(Config(id));
  }
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<ModelBatch> trained,
      ModelBatch::Create(backend.get(), std::move(models),
                         {regression ? "mse" : "cross_entropy", {}},
                         static_cast<int64_t>(max_rows) + batch.spare_rows));
  MB_ASSIGN_OR_RETURN(
      const Optimizer optimizer,
      OptimizerFactory(optimizer_).CreateOptimizer(trained.get(), configs));
  if (batch.prepare) MB_RETURN_IF_ERROR(batch.prepare(*trained));

  std::map<int64_t, Trajectory> result;
  for (size_t s = 0; s < steps.size(); ++s) {
    if (batch.before_step) {
      batch.before_step(batch.first_step + static_cast<int64_t>(s), *trained);
    }
    MB_RETURN_IF_ERROR(trained->TrainStep(
        *dataset, {steps[s].rows, steps[s].offsets}, optimizer));
    for (size_t i = 0; i < batch.ids.size(); ++i) {
      Trajectory& trajectory = result[batch.ids[i]];
      trajectory.losses.push_back(trained->last_step().losses[i]);
      trajectory.outcomes.push_back(trained->last_step().outcomes[i]);
    }
  }
  for (int i = 0; i < trained->num_models(); ++i) {
    if (!trained->removed(i)) MB_RETURN_IF_ERROR(trained->SetActive(i, true));
  }
  // More rows than the session was compiled for, so that it takes several
  // passes.
  std::vector<int32_t> all(kDatasetRows);
  for (int64_t row = 0; row < kDatasetRows; ++row) {
    all[row] = static_cast<int32_t>(row);
  }
  EvaluateResult evaluation;
  MB_RETURN_IF_ERROR(trained->Evaluate(*dataset, {all, {}}, &evaluation));
  for (size_t i = 0; i < batch.ids.size(); ++i) {
    Trajectory& trajectory = result[batch.ids[i]];
    trajectory.evaluation_loss = evaluation.losses[i];
    trajectory.correct = evaluation.correct[i];
    if (trained->removed(static_cast<int>(i))) continue;
    MB_ASSIGN_OR_RETURN(trajectory.state,
                        trained->GetModelState(static_cast<int>(i)));
  }
  return result;
}

}  // namespace modelbatch
