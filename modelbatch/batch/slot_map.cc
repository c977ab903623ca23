#include "modelbatch/batch/slot_map.h"

#include <numeric>

namespace modelbatch {

SlotMap::SlotMap(int num_models) : slots_(num_models) {
  std::iota(slots_.begin(), slots_.end(), 0);
  models_ = slots_;
}

SlotMap::SlotMap(int num_models, std::vector<int> models)
    : slots_(num_models, -1), models_(std::move(models)) {
  for (size_t slot = 0; slot < models_.size(); ++slot) {
    slots_[models_[slot]] = static_cast<int>(slot);
  }
}

absl::Span<const uint8_t> SlotMap::Active(absl::Span<const uint8_t> active) {
  if (identity()) return active;
  active_.clear();
  for (const int model : models_) active_.push_back(active[model]);
  return active_;
}

absl::Span<const Column> SlotMap::Columns(absl::Span<const Column> columns) {
  if (identity()) return columns;
  columns_.resize(columns.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    columns_[c].name = columns[c].name;
    columns_[c].values.clear();
    for (const int model : models_) {
      columns_[c].values.push_back(columns[c].values[model]);
    }
  }
  return columns_;
}

RowSet SlotMap::Rows(const RowSet& rows) {
  if (identity() || rows.offsets.empty()) return rows;
  rows_.clear();
  offsets_.assign(1, 0);
  for (const int model : models_) {
    const absl::Span<const int32_t> own = RowsOf(rows, model);
    rows_.insert(rows_.end(), own.begin(), own.end());
    offsets_.push_back(static_cast<int64_t>(rows_.size()));
  }
  return {rows_, offsets_};
}

}  // namespace modelbatch
