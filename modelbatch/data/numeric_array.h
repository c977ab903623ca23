// Numbers of any type and shape, as a file of arrays has them, and the data set
// that two such arrays make.
//
//   MB_ASSIGN_OR_RETURN(NumericArray x, ReadNpy("x.npy"));
//   MB_ASSIGN_OR_RETURN(NumericArray y, ReadNpy("y.npy"));
//   MB_ASSIGN_OR_RETURN(DataTable table, TableFromArrays(x, y, {}));
#ifndef MODELBATCH_DATA_NUMERIC_ARRAY_H_
#define MODELBATCH_DATA_NUMERIC_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

enum class NumberType {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat32,
  kFloat64
};

// Bytes of one number.
size_t NumberSize(NumberType type);

struct NumericArray {
  std::string name;  // for messages: "x.npy"
  NumberType type = NumberType::kFloat32;
  Shape shape;
  std::string bytes;  // row-major, little endian; as many as the shape says
};

// NumElements, or nothing where it is negative or above 2^60.
absl::StatusOr<int64_t> CheckedElements(const Shape& shape);

// Reverses the bytes of each number: big endian to little.
void SwapBytes(size_t number_size, std::string* bytes);

struct ArrayOptions {
  bool classes = true;  // targets are class indices from 0
  double scale = 1;     // features are multiplied by it
  std::optional<int64_t> ignored_class = {};  // a target beside the classes
};

// The first dimension of both is the rows. Features keep their shape, or become
// [rows, 1]. Targets are [rows], or [rows, 1] for classes, [rows, columns]
// else.
//
// InvalidArgument names the array, the row and the place in it (all from 0) of
// what is no finite number or no class index; arrays of different numbers of
// rows; no rows.
absl::StatusOr<DataTable> TableFromArrays(const NumericArray& features,
                                          const NumericArray& targets,
                                          const ArrayOptions& options);

// The same without targets; features are multiplied by `scale`.
absl::StatusOr<DataTable> TableFromFeatures(const NumericArray& features,
                                            double scale);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_NUMERIC_ARRAY_H_
