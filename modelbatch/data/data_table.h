// A data set in memory: what every reader makes and a backend is given.
#ifndef MODELBATCH_DATA_DATA_TABLE_H_
#define MODELBATCH_DATA_DATA_TABLE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Rows are numbered by 32 bits.
inline constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();
// Class indices from here on are something else than classes.
inline constexpr int64_t kMaxClasses = int64_t{1} << 24;

struct DataTable {
  Tensor features;  // [rows, ...] float32
  // [rows] int64 class indices, or [rows, columns] float32; [0]: none.
  Tensor targets;
  // Largest class index + 1, without that of rows that do not count; 0: no
  // classes.
  int64_t num_classes = 0;
  std::optional<int64_t> ignored_class;  // of rows that do not count
  // Of the features, in their order, where the file has names for them.
  std::vector<std::string> feature_names;

  // For messages: where the target of a row stands in the files, such as
  // "digits.csv:3: column 65" or "labels.npy: row 2".
  std::function<std::string(int64_t row)> where;

  int64_t rows() const { return features.shape()[0]; }
  // The shape of one row of features.
  Shape row_shape() const {
    return Shape(features.shape().begin() + 1, features.shape().end());
  }
  bool has_targets() const { return targets.size() > 0; }
  bool has_classes() const { return targets.dtype() == DType::kInt64; }
};

// Largest class index + 1 among the targets that count.
int64_t CountClasses(const DataTable& table);

// Every class must be below `num_classes`, the outputs of a model. The error
// says where the first is that is not.
absl::Status CheckClasses(const DataTable& table, int64_t num_classes);

// A fingerprint of features and targets (FNV-1a over shapes and bytes), to
// notice that a run is resumed on other data.
uint64_t Fingerprint(const DataTable& table);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_DATA_TABLE_H_
