// The rows of one step, gathered for a stack of models.
#ifndef BACKENDS_LIBTORCH_BATCH_H_
#define BACKENDS_LIBTORCH_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "backends/grouped/dataset.h"
#include "backends/grouped/plan.h"
#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

struct Batch {
  int64_t rows = 0;                 // of the model with the most
  std::vector<int64_t> row_counts;  // of each model
  Value features;  // float32 [rows, size] shared, or [n, rows, size]
  Value targets;   // int64 [rows] or float32 [rows, size], or stacked
  // bool [n, rows]: false where a model has fewer rows. Undefined: none has.
  // Such rows repeat the model's last one, so that they are as finite as it.
  at::Tensor valid;
};

// `rows` of each model, or one entry that all `num_models` share. None is
// empty. Targets are gathered when `loss` is not null.
Batch GatherBatch(const grouped::HostDataset& dataset,
                  absl::Span<const absl::Span<const int32_t>> rows,
                  int64_t num_models, const grouped::Loss* loss,
                  at::Device device);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_BATCH_H_
