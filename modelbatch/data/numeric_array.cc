#include "modelbatch/data/numeric_array.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 60;

template <typename T>
double ValueAt(const char* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

using Getter = double (*)(const char* bytes, int64_t index);

Getter GetterOf(NumberType type) {
  switch (type) {
    case NumberType::kBool:
      return [](const char* bytes, int64_t index) {
        return bytes[index] == 0 ? 0.0 : 1.0;
      };
    case NumberType::kInt8:
      return ValueAt<int8_t>;
    case NumberType::kInt16:
      return ValueAt<int16_t>;
    case NumberType::kInt32:
      return ValueAt<int32_t>;
    case NumberType::kInt64:
      return ValueAt<int64_t>;
    case NumberType::kUInt8:
      return ValueAt<uint8_t>;
    case NumberType::kUInt16:
      return ValueAt<uint16_t>;
    case NumberType::kUInt32:
      return ValueAt<uint32_t>;
    case NumberType::kUInt64:
      return ValueAt<uint64_t>;
    case NumberType::kFloat32:
      return ValueAt<float>;
    case NumberType::kFloat64:
      return ValueAt<double>;
  }
  return nullptr;
}

std::string RowName(const std::string& name, int64_t row) {
  return absl::StrCat(name, ": row ", row);
}

// "x.npy: row 2, column 5", "images: row 2, element [3, 5]"
std::string PlaceName(const NumericArray& array, int64_t index) {
  const int64_t row_size = NumElements(array.shape) / array.shape[0];
  const std::string row = RowName(array.name, index / row_size);
  if (array.shape.size() < 2) return row;
  int64_t rest = index % row_size;
  Shape place(array.shape.size() - 1);
  for (size_t d = place.size(); d-- > 0;) {
    place[d] = rest % array.shape[d + 1];
    rest /= array.shape[d + 1];
  }
  if (place.size() == 1) return absl::StrCat(row, ", column ", place[0]);
  return absl::StrCat(row, ", element ", ShapeToString(place));
}

absl::Status ElementError(const NumericArray& array, int64_t index,
                          double value, const char* message) {
  return absl::InvalidArgumentError(
      absl::StrCat(PlaceName(array, index), ": ", value, message));
}

absl::StatusOr<Tensor> ToFloats(const NumericArray& array, double scale,
                                Shape shape) {
  const Getter get = GetterOf(array.type);
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  float* to = tensor.data<float>();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const double value = get(array.bytes.data(), i);
    to[i] = static_cast<float>(value * scale);
    if (std::isfinite(to[i])) continue;
    return ElementError(array, i, value,
                        std::isfinite(value) ? " is too large for a float"
                                             : " is not a finite number");
  }
  return tensor;
}

absl::StatusOr<Tensor> ToClasses(const NumericArray& array,
                                 std::optional<int64_t> ignored) {
  const Getter get = GetterOf(array.type);
  Tensor tensor = Tensor::Zeros(DType::kInt64, {array.shape[0]});
  int64_t* to = tensor.data<int64_t>();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const double value = get(array.bytes.data(), i);
    const auto error = [&](const std::string& message) {
      return absl::InvalidArgumentError(
          absl::StrCat(RowName(array.name, i), ": label ", value, message));
    };
    if (value != std::floor(value)) return error(" is not an integer");
    const bool counts = !ignored || value != static_cast<double>(*ignored);
    if (counts && !(value >= 0 && value < kMaxClasses)) {
      return error(
          absl::StrCat(" is out of range, expected 0 to ", kMaxClasses - 1));
    }
    to[i] = static_cast<int64_t>(value);
  }
  return tensor;
}

absl::Status CheckRows(const NumericArray& array) {
  if (array.shape.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        array.name, ": is a single number, expected rows of them"));
  }
  if (NumElements(array.shape) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(array.name, ": has the shape ", ShapeToString(array.shape),
                     ", expected rows of numbers"));
  }
  if (array.shape[0] > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat(array.name, ": has ", array.shape[0],
                     " rows, expected at most ", kMaxRows));
  }
  return absl::OkStatus();
}

}  // namespace

size_t NumberSize(NumberType type) {
  switch (type) {
    case NumberType::kBool:
    case NumberType::kInt8:
    case NumberType::kUInt8:
      return 1;
    case NumberType::kInt16:
    case NumberType::kUInt16:
      return 2;
    case NumberType::kInt32:
    case NumberType::kUInt32:
    case NumberType::kFloat32:
      return 4;
    case NumberType::kInt64:
    case NumberType::kUInt64:
    case NumberType::kFloat64:
      return 8;
  }
  return 0;
}

absl::StatusOr<int64_t> CheckedElements(const Shape& shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t size : shape) {
    empty = empty || size == 0;
    if (size < 0 ||
        __builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count) ||
        count > kMaxElements) {
      return absl::InvalidArgumentError(
          absl::StrCat("the shape ", ShapeToString(shape), " overflows"));
    }
  }
  return empty ? 0 : count;
}

void SwapBytes(size_t number_size, std::string* bytes) {
  for (size_t i = 0; i + number_size <= bytes->size(); i += number_size) {
    std::reverse(bytes->begin() + i, bytes->begin() + i + number_size);
  }
}

absl::StatusOr<DataTable> TableFromFeatures(const NumericArray& features,
                                            double scale) {
  MB_RETURN_IF_ERROR(CheckRows(features));
  Shape shape = features.shape;
  if (shape.size() == 1) shape.push_back(1);
  DataTable table;
  MB_ASSIGN_OR_RETURN(table.features,
                      ToFloats(features, scale, std::move(shape)));
  return table;
}

absl::StatusOr<DataTable> TableFromArrays(const NumericArray& features,
                                          const NumericArray& targets,
                                          const ArrayOptions& options) {
  MB_RETURN_IF_ERROR(CheckRows(features));
  MB_RETURN_IF_ERROR(CheckRows(targets));
  const int64_t rows = features.shape[0];
  if (targets.shape[0] != rows) {
    return absl::InvalidArgumentError(
        absl::StrCat(targets.name, ": has ", targets.shape[0],
                     " rows, expected ", rows, " as in ", features.name));
  }
  const int64_t columns = NumElements(targets.shape) / rows;
  if (targets.shape.size() > 2 || (options.classes && columns > 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        targets.name, ": has the shape ", ShapeToString(targets.shape),
        ", expected ",
        options.classes ? "one class index a row" : "[rows, columns]"));
  }
  MB_ASSIGN_OR_RETURN(DataTable table,
                      TableFromFeatures(features, options.scale));
  if (options.classes) {
    MB_ASSIGN_OR_RETURN(table.targets,
                        ToClasses(targets, options.ignored_class));
    table.ignored_class = options.ignored_class;
    table.num_classes = CountClasses(table);
  } else {
    MB_ASSIGN_OR_RETURN(table.targets, ToFloats(targets, 1, {rows, columns}));
  }
  table.where = [name = targets.name](int64_t row) {
    return RowName(name, row);
  };
  return table;
}

}  // namespace modelbatch
