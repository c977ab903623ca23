#include "backends/libtorch/batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

namespace modelbatch::libtorch {
namespace {

using Rows = absl::Span<const int32_t>;

// Rows of `source`, each of `size` elements, one matrix of `count` rows for
// each entry of `rows`; short ones repeat their last row.
template <typename T>
at::Tensor Gather(const T* source, int64_t size, absl::Span<const Rows> rows,
                  int64_t count, at::ScalarType type) {
  at::Tensor result =
      at::empty({static_cast<int64_t>(rows.size()), count, size}, type);
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
                  const grouped::Loss* loss, at::Device device) {
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
                                batch.rows, at::kFloat),
                         stacked, device);
  if (loss != nullptr && *loss == grouped::Loss::kCrossEntropy) {
    batch.targets = Share(
        Gather(dataset.classes(), 1, rows, batch.rows, at::kLong).squeeze(-1),
        stacked, device);
  } else if (loss != nullptr) {
    batch.targets = Share(Gather(dataset.values(), dataset.target_size(), rows,
                                 batch.rows, at::kFloat),
                          stacked, device);
  }
  if (ragged) {
    at::Tensor valid = at::empty({num_models, batch.rows}, at::kBool);
    bool* to = valid.mutable_data_ptr<bool>();
    for (int64_t i = 0; i < num_models; ++i, to += batch.rows) {
      std::fill(to, to + batch.row_counts[i], true);
      std::fill(to + batch.row_counts[i], to + batch.rows, false);
    }
    batch.valid = valid.to(device);
  }
  return batch;
}

}  // namespace modelbatch::libtorch
