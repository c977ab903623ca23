// Several files' rows as one data set.
//
//   MB_ASSIGN_OR_RETURN(DataTable all, Concatenate(std::move(tables)));
//   // the rows of the second table follow those of the first
#ifndef MODELBATCH_DATA_CONCATENATE_H_
#define MODELBATCH_DATA_CONCATENATE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/data/data_table.h"

namespace modelbatch {

// The tables' rows in their order; at least one table. InvalidArgument, which
// says how the table at fault differs from the first: rows of another shape,
// targets of another kind or number of columns, columns of other names where
// both have names, or more than kMaxRows rows in all.
absl::StatusOr<DataTable> Concatenate(std::vector<DataTable> tables);

// Column names of two tables are the same, in the same order, where both have
// some. InvalidArgument names the first that is not, with its number from 1
// among the features.
absl::Status CheckSameNames(const std::vector<std::string>& names,
                            const std::vector<std::string>& expected);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_CONCATENATE_H_
