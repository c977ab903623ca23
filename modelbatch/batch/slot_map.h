// Which model of a batch stands where in its session. As long as no model has
// been compacted away the two orders are the same, and nothing is copied.
#ifndef MODELBATCH_BATCH_SLOT_MAP_H_
#define MODELBATCH_BATCH_SLOT_MAP_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch {

class SlotMap {
 public:
  SlotMap() = default;
  // All of `num_models` models, in order.
  explicit SlotMap(int num_models);
  // `models`: of each slot its model, ascending.
  SlotMap(int num_models, std::vector<int> models);

  // Whether slots are models.
  bool identity() const { return models_.size() == slots_.size(); }
  int num_slots() const { return static_cast<int>(models_.size()); }
  // Of a model; -1: it has none.
  int slot(int model) const { return slots_[model]; }
  // Of each slot.
  const std::vector<int>& models() const { return models_; }

  // The arguments of a step, for the session. The results live until the next
  // call of the same function.
  absl::Span<const uint8_t> Active(absl::Span<const uint8_t> active);
  absl::Span<const Column> Columns(absl::Span<const Column> columns);
  RowSet Rows(const RowSet& rows);

  // Puts what the session returned, one value a slot, where the models are;
  // models without a slot get `absent`.
  template <typename T>
  void Scatter(const T& absent, std::vector<T>* values) const {
    if (identity()) return;
    std::vector<T> all(slots_.size(), absent);
    for (size_t slot = 0; slot < models_.size(); ++slot) {
      all[models_[slot]] = (*values)[slot];
    }
    values->swap(all);
  }

 private:
  std::vector<int> slots_;   // by model
  std::vector<int> models_;  // by slot
  std::vector<uint8_t> active_;
  std::vector<Column> columns_;
  std::vector<int32_t> rows_;
  std::vector<int64_t> offsets_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_SLOT_MAP_H_
