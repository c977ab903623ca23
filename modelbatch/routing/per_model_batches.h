// Which rows each model trains on in each step of an epoch, where models have
// their own rows, batch sizes or orders.
//
//   MB_ASSIGN_OR_RETURN(
//       auto batches,
//       PerModelBatches::Create({{fold0, 32, seed}, {fold1, 64, seed}}));
//   batches.StartEpoch(epoch);
//   for (int64_t step = 0; step < batches.steps_per_epoch(); ++step) {
//     models->TrainStep(*dataset, batches.Batch(step), optimizer);
//   }
//
// In an epoch a model visits each of its rows once, in the order
// RandomPermutation(its rows, its seed, kShuffle, epoch), batch_size of them a
// step; its last batch has what is left. The epoch ends when all models are
// through: one that is through earlier has no rows in the steps that remain,
// and makes none.
//
// So a model's batches depend on its own rows, batch size and seed and on the
// epoch, on nothing else: not on the other models, nor on what was trained
// before. A run resumes at any step of any epoch.
#ifndef MODELBATCH_ROUTING_PER_MODEL_BATCHES_H_
#define MODELBATCH_ROUTING_PER_MODEL_BATCHES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch {

// What one model trains on.
struct ModelRows {
  // Row numbers of the data set, each at least 0; a row may stand more than
  // once. Models that share the list (the same pointer) and the seed share the
  // order, in memory too.
  std::shared_ptr<const std::vector<int32_t>> rows;
  int64_t batch_size = 0;  // at least 1
  uint64_t seed = 0;
};

class PerModelBatches {
 public:
  // At least one model, each with at least one row. Begins with epoch 0.
  static absl::StatusOr<PerModelBatches> Create(std::vector<ModelRows> models);
  // All of `num_models` models have the same rows in the same order.
  static absl::StatusOr<PerModelBatches> Shared(int num_models,
                                                std::vector<int32_t> rows,
                                                int64_t batch_size,
                                                uint64_t seed);

  void StartEpoch(int64_t epoch);

  int num_models() const { return static_cast<int>(models_.size()); }
  // Of the model that takes longest.
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Of the model at index `model`: it has rows in steps [0, steps_per_epoch).
  int64_t steps_per_epoch(int model) const;
  int64_t rows_per_epoch(int model) const;
  // The most rows of a model in a step: CompileRequest::max_rows.
  int64_t max_rows() const { return max_rows_; }

  // 0 <= step < steps_per_epoch(). Valid until the next Batch or StartEpoch.
  // Rows are shared (no offsets) when all models have the same. Allocates
  // nothing.
  RowSet Batch(int64_t step);

  // The rows of one model in a step of this epoch; empty once it is through.
  absl::Span<const int32_t> BatchOf(int model, int64_t step) const;

 private:
  // A list of rows in the order of one seed.
  struct Order {
    std::shared_ptr<const std::vector<int32_t>> rows;
    uint64_t seed = 0;
    std::vector<int32_t> shuffled;  // of this epoch
  };
  struct Model {
    size_t order = 0;  // index in orders_
    int64_t batch_size = 0;
  };

  PerModelBatches() = default;

  std::vector<Order> orders_;
  std::vector<Model> models_;
  int64_t steps_per_epoch_ = 0;
  int64_t max_rows_ = 0;
  bool shared_ = false;  // one order and batch size for all models
  // Of the last Batch.
  std::vector<int32_t> rows_;
  std::vector<int64_t> offsets_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_PER_MODEL_BATCHES_H_
