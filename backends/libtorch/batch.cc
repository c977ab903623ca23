#include "backends/libtorch/batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstring>

namespace modelbatch::libtorch {
namespace {

using Rows = absl::Span<const int32_t>;

// Rows of `source`, each of `size` elements, one matrix of `count` rows for
// each entry of `rows`; short ones repeat their last row.
template <typename T>
at::Tensor Gather(const T* source, int64_t size, absl::Span<const Rows> rows,
                  int64_t count, at::ScalarType type,
                  at::Tensor* memory = nullptr) {
  const int64_t matrices = static_cast<int64_t>(rows.size());
  const int64_t elements = matrices * count * size;
  at::Tensor fresh;
  if (memory == nullptr) memory = &fresh;
  if (!memory->defined() || memory->numel() < elements) {
    *memory = at::empty({elements}, type);
  }
  const at::Tensor result =
      memory->narrow(0, 0, elements).view({matrices, count, size});
  T* to = result.mutable_data_ptr<T>();
  for (const Rows& own : rows) {
    const int64_t last = static_cast<int64_t>(own.size()) - 1;
    for (int64_t j = 0; j < count; ++j, to += size) {
      std::memcpy(to, source + own[std::min(j, last)] * size, size * sizeof(T));
    }
  }
  return result;
}

Value Share(at::Tensor gathered, bool stacked, at::Device device) {
  if (!stacked) gathered = gathered.squeeze(0);
  return {gathered.to(device), stacked};
}

}  // namespace

Batch GatherBatch(const grouped::HostDataset& dataset,
                  absl::Span<const Rows> rows, int64_t num_models,
                  const LossSettings* loss, at::Device device,
                  at::Tensor* memory) {
  const bool stacked =
      static_cast<int64_t>(rows.size()) == num_models && num_models > 1;
  Batch batch;
  bool ragged = false;
  for (int64_t i = 0; i < num_models; ++i) {
    const int64_t count = static_cast<int64_t>(rows[stacked ? i : 0].size());
    ragged |= i > 0 && count != batch.rows;
    batch.rows = std::max(batch.rows, count);
    batch.row_counts.push_back(count);
  }
  batch.features = Share(Gather(dataset.features(), dataset.row_size(), rows,
                                batch.rows, at::kFloat, memory),
                         stacked, device);
  bool ignores = false;
  if (loss != nullptr && loss->has_classes()) {
    at::Tensor classes =
        Gather(dataset.classes(), 1, rows, batch.rows, at::kLong).squeeze(-1);
    const int64_t* const begin = classes.const_data_ptr<int64_t>();
    const int64_t* const end = begin + classes.numel();
    ignores = std::find(begin, end, loss->ignore_index) != end;
    if (ignores) {
      const at::Tensor ignored = classes.eq(loss->ignore_index);
      classes.masked_fill_(ignored, 0);
      batch.valid = ignored.logical_not().expand({num_models, batch.rows});
    }
    if (!loss->weight.empty()) {
      batch.row_weights = at::tensor(loss->weight, at::kFloat)
                              .index_select(0, classes.flatten())
                              .view(classes.sizes())
                              .expand({num_models, batch.rows})
                              .to(device);
    }
    batch.targets = Share(classes, stacked, device);
  } else if (loss != nullptr) {
    batch.targets = Share(Gather(dataset.values(), dataset.target_size(), rows,
                                 batch.rows, at::kFloat),
                          stacked, device);
  }
  if (ragged) {
    at::Tensor there = at::empty({num_models, batch.rows}, at::kBool);
    bool* to = there.mutable_data_ptr<bool>();
    for (int64_t i = 0; i < num_models; ++i, to += batch.rows) {
      std::fill(to, to + batch.row_counts[i], true);
      std::fill(to + batch.row_counts[i], to + batch.rows, false);
    }
    batch.valid = ignores ? batch.valid.logical_and(there) : there;
  }
  if (batch.valid.defined()) batch.valid = batch.valid.to(device);
  for (int64_t i = 0; i < num_models && loss != nullptr; ++i) {
    batch.weights.push_back(i > 0 && !stacked ? batch.weights[0]
                                              : dataset.Weigh(*loss, rows[i]));
  }
  return batch;
}

}  // namespace modelbatch::libtorch
