// Sends the rows of a batch to the models that are to see them.
//
//   MB_ASSIGN_OR_RETURN(DataRouter router, DataRouter::Create("mask", models));
//   MB_ASSIGN_OR_RETURN(auto masks, CreateRandomMasks(batch.size(), models));
//   MB_ASSIGN_OR_RETURN(RoutedRows routed, router.RouteBatch(batch, masks));
//   MB_RETURN_IF_ERROR(models->TrainStep(*dataset, routed.view(), optimizer));
#ifndef MODELBATCH_ROUTING_DATA_ROUTER_H_
#define MODELBATCH_ROUTING_DATA_ROUTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/routing/routed_rows.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

enum class RoutingMode { kPassthrough, kMask, kIndices };

// A routed batch as one tensor. Rows of `values` from row_counts[i] on are
// padding, zeros, and belong to no model.
struct PaddedBatch {
  Tensor values;                    // [num_models, most rows of a model, ...]
  std::vector<int64_t> row_counts;  // of each model
  // Passthrough: `values` is the batch itself, [batch, ...], on the same
  // memory, for every model; `row_counts` is empty.
  bool shared = false;
};

// Immutable, so thread-safe.
class DataRouter {
 public:
  // `mode` is "passthrough", "mask" or "indices"; num_models >= 1.
  static absl::StatusOr<DataRouter> Create(const std::string& mode,
                                           int num_models);

  RoutingMode mode() const { return mode_; }
  int num_models() const { return num_models_; }

  // The rows each model sees, ragged. `batch` holds row numbers of a data set,
  // each at least 0.
  //
  // - passthrough: every model sees the whole batch. Neither masks nor indices.
  // - mask: `masks` has one uint8 tensor [batch] a model; 1 selects the row at
  //   that position, 0 leaves it out. Rows keep the order of the batch.
  // - indices: `indices` has one int32 or int64 tensor [k] a model of positions
  //   in the batch, in the order in which the model is to see them. A position
  //   may stand more than once: that is a bootstrap sample.
  //
  // A model with no rows is allowed; it makes no step. InvalidArgument names
  // the model and the position: a wrong number of masks or indices, those of
  // another mode, a wrong dtype, rank or length, a mask value other than 0 and
  // 1, an index outside the batch (there is no counting from the end).
  absl::StatusOr<RoutedRows> RouteBatch(
      absl::Span<const int32_t> batch, absl::Span<const Tensor> masks = {},
      absl::Span<const Tensor> indices = {}) const;

  // The same for values: `batch` is a tensor [batch, ...] of any dtype.
  absl::StatusOr<PaddedBatch> RoutePadded(
      const Tensor& batch, absl::Span<const Tensor> masks = {},
      absl::Span<const Tensor> indices = {}) const;

 private:
  DataRouter(RoutingMode mode, int num_models)
      : mode_(mode), num_models_(num_models) {}
  // Positions in a batch of `size` rows that each model sees.
  absl::StatusOr<RoutedRows> Positions(int64_t size,
                                       absl::Span<const Tensor> masks,
                                       absl::Span<const Tensor> indices) const;

  RoutingMode mode_;
  int num_models_;
};

// The rows of `values` [rows, ...] that `rows` gives to each of `num_models`
// models, copied into one tensor; what `rows` names must be in [0, rows).
// Rows shared by all models are repeated for each.
absl::StatusOr<PaddedBatch> PadRows(const Tensor& values,
                                    const RoutedRows& rows, int num_models);

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_DATA_ROUTER_H_
