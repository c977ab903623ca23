#include "modelbatch/routing/per_model_batches.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/data/permutation.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckModel(int model, const ModelRows& m) {
  if (m.rows == nullptr || m.rows->empty() ||
      m.rows->size() >
          static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model, " has ", m.rows == nullptr ? 0 : m.rows->size(),
        " rows to train on, expected 1 to 2147483647"));
  }
  if (m.batch_size < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model, ": batch_size is ", m.batch_size,
                     ", expected at least 1"));
  }
  return absl::OkStatus();
}

absl::Status CheckRows(int model, const std::vector<int32_t>& rows) {
  const auto negative = std::find_if(rows.begin(), rows.end(),
                                     [](int32_t row) { return row < 0; });
  if (negative == rows.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model ", model, " has row ", *negative, " at position ",
                   negative - rows.begin(), ", expected at least 0"));
}

}  // namespace

absl::StatusOr<PerModelBatches> PerModelBatches::Create(
    std::vector<ModelRows> models) {
  if (models.empty()) {
    return absl::InvalidArgumentError("no models, expected at least one");
  }
  PerModelBatches batches;
  std::map<std::pair<const std::vector<int32_t>*, uint64_t>, size_t> orders;
  int64_t rows_per_step = 0;
  for (size_t i = 0; i < models.size(); ++i) {
    ModelRows& model = models[i];
    MB_RETURN_IF_ERROR(CheckModel(static_cast<int>(i), model));
    const auto [it, added] =
        orders.insert({{model.rows.get(), model.seed}, batches.orders_.size()});
    if (added) {
      MB_RETURN_IF_ERROR(CheckRows(static_cast<int>(i), *model.rows));
      batches.orders_.push_back({std::move(model.rows), model.seed, {}});
    }
    batches.models_.push_back({it->second, model.batch_size});
    const int64_t most =
        std::min(model.batch_size, batches.rows_per_epoch(static_cast<int>(i)));
    batches.max_rows_ = std::max(batches.max_rows_, most);
    rows_per_step += most;
    batches.steps_per_epoch_ = std::max(
        batches.steps_per_epoch_, batches.steps_per_epoch(static_cast<int>(i)));
  }
  batches.shared_ =
      batches.orders_.size() == 1 &&
      std::all_of(batches.models_.begin(), batches.models_.end(),
                  [&](const Model& model) {
                    return model.batch_size == batches.models_[0].batch_size;
                  });
  if (!batches.shared_) {
    batches.rows_.reserve(static_cast<size_t>(rows_per_step));
    batches.offsets_.reserve(batches.models_.size() + 1);
  }
  batches.StartEpoch(0);
  return batches;
}

absl::StatusOr<PerModelBatches> PerModelBatches::Shared(
    int num_models, std::vector<int32_t> rows, int64_t batch_size,
    uint64_t seed) {
  const ModelRows all = {
      std::make_shared<const std::vector<int32_t>>(std::move(rows)), batch_size,
      seed};
  return Create(std::vector<ModelRows>(std::max(num_models, 0), all));
}

void PerModelBatches::StartEpoch(int64_t epoch) {
  for (Order& order : orders_) {
    order.shuffled = RandomPermutation(static_cast<int64_t>(order.rows->size()),
                                       order.seed, RandomPurpose::kShuffle,
                                       static_cast<uint64_t>(epoch));
    for (int32_t& index : order.shuffled) index = (*order.rows)[index];
  }
}

int64_t PerModelBatches::rows_per_epoch(int model) const {
  return static_cast<int64_t>(orders_[models_[model].order].rows->size());
}

int64_t PerModelBatches::steps_per_epoch(int model) const {
  // Not (rows + size - 1) / size, which overflows for a huge batch size.
  return (rows_per_epoch(model) - 1) / models_[model].batch_size + 1;
}

absl::Span<const int32_t> PerModelBatches::BatchOf(int model,
                                                   int64_t step) const {
  if (step >= steps_per_epoch(model)) return {};
  const Model& m = models_[model];
  return absl::MakeConstSpan(orders_[m.order].shuffled)
      .subspan(step * m.batch_size, m.batch_size);
}

RowSet PerModelBatches::Batch(int64_t step) {
  if (shared_) return RowSet{BatchOf(0, step), {}};
  rows_.clear();
  offsets_.assign(1, 0);
  for (int model = 0; model < num_models(); ++model) {
    const absl::Span<const int32_t> own = BatchOf(model, step);
    rows_.insert(rows_.end(), own.begin(), own.end());
    offsets_.push_back(static_cast<int64_t>(rows_.size()));
  }
  return RowSet{rows_, offsets_};
}

}  // namespace modelbatch
