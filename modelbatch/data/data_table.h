// A data set in memory: what every reader makes and a backend is given.
#ifndef MODELBATCH_DATA_DATA_TABLE_H_
#define MODELBATCH_DATA_DATA_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct DataTable {
  Tensor features;  // [rows, ...] float32
  // [rows] int64 class indices, or [rows, columns] float32; [0]: none.
  Tensor targets;
  int64_t num_classes = 0;  // largest class index + 1; 0: no classes

  // For messages: the file, and of each row its line (from 1).
  std::string file;
  std::vector<int64_t> lines;
  int64_t label_column = 0;  // from 1

  int64_t rows() const { return features.shape()[0]; }
  // The shape of one row of features.
  Shape row_shape() const {
    return Shape(features.shape().begin() + 1, features.shape().end());
  }
  bool has_targets() const { return targets.size() > 0; }
  bool has_classes() const { return targets.dtype() == DType::kInt64; }
};

// Every class must be below `num_classes`, the outputs of a model. The error
// names file, line and column of the first that is not.
absl::Status CheckClasses(const DataTable& table, int64_t num_classes);

// A fingerprint of features and targets (FNV-1a over shapes and bytes), to
// notice that a run is resumed on other data.
uint64_t Fingerprint(const DataTable& table);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_DATA_TABLE_H_
