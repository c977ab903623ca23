#include "modelbatch/data/concatenate.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

std::string DescribeTargets(const DataTable& table) {
  if (!table.has_targets()) return "no targets";
  if (table.has_classes()) return "classes as targets";
  const int64_t columns = table.targets.shape()[1];
  return absl::StrCat(columns, columns == 1 ? " column" : " columns",
                      " of targets");
}

absl::Status CheckSameColumns(const DataTable& table, const DataTable& first) {
  if (table.row_shape() != first.row_shape()) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of the shape ", ShapeToString(table.row_shape()),
                     ", expected ", ShapeToString(first.row_shape())));
  }
  const std::string targets = DescribeTargets(table);
  const std::string expected = DescribeTargets(first);
  if (targets != expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(targets, ", expected ", expected));
  }
  return CheckSameNames(table.feature_names, first.feature_names);
}

Tensor Join(const std::vector<DataTable>& tables, Tensor DataTable::*part,
            int64_t rows) {
  Shape shape = (tables[0].*part).shape();
  shape[0] = rows;
  Tensor joined = Tensor::Zeros((tables[0].*part).dtype(), shape);
  char* to = static_cast<char*>(joined.raw());
  for (const DataTable& table : tables) {
    const Tensor& from = table.*part;
    std::memcpy(to, from.raw(), static_cast<size_t>(from.byte_size()));
    to += from.byte_size();
  }
  return joined;
}

}  // namespace

absl::StatusOr<DataTable> Concatenate(std::vector<DataTable> tables) {
  int64_t rows = 0;
  for (const DataTable& table : tables) {
    MB_RETURN_IF_ERROR(CheckSameColumns(table, tables[0]));
    rows += table.rows();
  }
  if (rows > kMaxRows) {
    return absl::InvalidArgumentError(absl::StrCat(
        rows, " rows in all the files, expected at most ", kMaxRows));
  }
  if (tables.size() == 1) return std::move(tables[0]);
  DataTable all;
  all.features = Join(tables, &DataTable::features, rows);
  if (tables[0].has_targets()) {
    all.targets = Join(tables, &DataTable::targets, rows);
  }
  all.ignored_class = tables[0].ignored_class;
  std::vector<std::pair<int64_t, std::function<std::string(int64_t)>>> where;
  for (DataTable& table : tables) {
    all.num_classes = std::max(all.num_classes, table.num_classes);
    if (all.feature_names.empty()) {
      all.feature_names = std::move(table.feature_names);
    }
    where.emplace_back(table.rows(), std::move(table.where));
  }
  all.where = [where = std::move(where)](int64_t row) {
    size_t at = 0;
    for (; row >= where[at].first; ++at) row -= where[at].first;
    return where[at].second(row);
  };
  return all;
}

absl::Status CheckSameNames(const std::vector<std::string>& names,
                            const std::vector<std::string>& expected) {
  if (names.empty() || expected.empty()) return absl::OkStatus();
  for (size_t i = 0; i < std::min(names.size(), expected.size()); ++i) {
    if (names[i] == expected[i]) continue;
    const auto other = std::find(names.begin(), names.end(), expected[i]);
    std::string hint;
    if (other != names.end()) {
      hint = absl::StrCat(", which is feature ", other - names.begin() + 1,
                          ": the columns are in another order");
    }
    return absl::InvalidArgumentError(absl::StrCat("feature ", i + 1, " is \"",
                                                   names[i], "\", expected \"",
                                                   expected[i], "\"", hint));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
