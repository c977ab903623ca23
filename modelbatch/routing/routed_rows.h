// Rows for each model of a population, owned: what routers return.
//
//   MB_ASSIGN_OR_RETURN(RoutedRows routed, router.RouteBatch(batch, masks));
//   MB_RETURN_IF_ERROR(models->TrainStep(*dataset, routed.view(), optimizer));
//
// Ragged: a model has exactly its own rows and no padding. A model may have
// none; it makes no step then.
#ifndef MODELBATCH_ROUTING_ROUTED_ROWS_H_
#define MODELBATCH_ROUTING_ROUTED_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch {

struct RoutedRows {
  std::vector<int32_t> rows;
  // Model i has rows[offsets[i], offsets[i + 1]). Empty: every model has all.
  std::vector<int64_t> offsets;

  bool shared() const { return offsets.empty(); }

  // The rows of the model at index `model`.
  absl::Span<const int32_t> of(int model) const {
    return RowsOf(view(), model);
  }

  // Valid until this is changed or gone.
  RowSet view() const { return RowSet{rows, offsets}; }
};

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_ROUTED_ROWS_H_
