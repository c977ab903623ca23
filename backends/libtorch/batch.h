// The rows of one step, gathered for a stack of models.
#ifndef BACKENDS_LIBTORCH_BATCH_H_
#define BACKENDS_LIBTORCH_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "backends/grouped/dataset.h"
#include "backends/libtorch/vmap.h"
#include "modelbatch/loss/loss.h"

namespace modelbatch::libtorch {

struct Batch {
  int64_t rows = 0;                 // of the model with the most
  std::vector<int64_t> row_counts;  // of each model
  Value features;  // float32 [rows, size] shared, or [n, rows, size]
  Value targets;   // int64 [rows] or float32 [rows, size], or stacked
  // bool [n, rows]: false where a model has fewer rows, or the loss ignores the
  // row. Undefined: all are true. Rows that a model does not have repeat its
  // last one, so that they are as finite as it.
  at::Tensor valid;
  // Losses on classes: float32 [n, rows], the weight of the row's class.
  // Undefined: all are 1.
  at::Tensor row_weights;
  // What each model's rows weigh together: the divisors of the means.
  std::vector<double> weights;
};

// `rows` of each model, or one entry that all `num_models` share. None is
// empty. Targets and weights are gathered when `loss` is not null; the target
// of an ignored row becomes 0. The features lie in `memory` until the next call
// with it, which replaces it where it is too small.
Batch GatherBatch(const grouped::HostDataset& dataset,
                  absl::Span<const absl::Span<const int32_t>> rows,
                  int64_t num_models, const LossSettings* loss,
                  at::Device device, at::Tensor* memory);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_BATCH_H_
