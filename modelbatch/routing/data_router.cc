#include "modelbatch/routing/data_router.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();

const char* ModeName(RoutingMode mode) {
  switch (mode) {
    case RoutingMode::kPassthrough:
      return "passthrough";
    case RoutingMode::kMask:
      return "mask";
    case RoutingMode::kIndices:
      return "indices";
  }
  return "unknown";
}

std::string Describe(const Tensor& tensor) {
  return absl::StrCat(DTypeName(tensor.dtype()), " ",
                      ShapeToString(tensor.shape()));
}

absl::Status CheckCount(RoutingMode mode, const char* what, size_t found,
                        bool wanted, int num_models) {
  if (!wanted && found != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "found ", found, " ", what, ", expected none: the router's mode is \"",
        ModeName(mode), "\""));
  }
  if (wanted && found != static_cast<size_t>(num_models)) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", found, " ", what, " for ", num_models,
                     " models, expected one a model"));
  }
  return absl::OkStatus();
}

// Appends the positions that the mask of model `model` selects.
absl::Status SelectByMask(const Tensor& mask, int model, int64_t size,
                          std::vector<int32_t>* rows) {
  if (mask.dtype() != DType::kUInt8 || mask.shape() != Shape{size}) {
    return absl::InvalidArgumentError(
        absl::StrCat("the mask of model ", model, " is ", Describe(mask),
                     ", expected uint8 ", ShapeToString({size}),
                     ", one value a row of the batch"));
  }
  const uint8_t* values = mask.data<uint8_t>();
  for (int64_t position = 0; position < size; ++position) {
    if (values[position] > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the mask of model ", model, " is ", int{values[position]},
          " at position ", position, ", expected 0 or 1"));
    }
    if (values[position] == 1) rows->push_back(static_cast<int32_t>(position));
  }
  return absl::OkStatus();
}

std::string ExpectedRow(int64_t size) {
  return size == 0 ? "expected none: there are no rows to choose from"
                   : absl::StrCat("expected 0 to ", size - 1);
}

template <typename T>
absl::Status AppendIndices(const Tensor& indices, int model, int64_t size,
                           std::vector<int32_t>* rows) {
  const T* values = indices.data<T>();
  for (int64_t i = 0; i < indices.size(); ++i) {
    if (values[i] < 0 || values[i] >= size) {
      return absl::InvalidArgumentError(
          absl::StrCat("the indices of model ", model, " have ", values[i],
                       " at position ", i, ", ", ExpectedRow(size)));
    }
    rows->push_back(static_cast<int32_t>(values[i]));
  }
  return absl::OkStatus();
}

absl::Status SelectByIndices(const Tensor& indices, int model, int64_t size,
                             std::vector<int32_t>* rows) {
  if (indices.shape().size() == 1) {
    if (indices.dtype() == DType::kInt32) {
      return AppendIndices<int32_t>(indices, model, size, rows);
    }
    if (indices.dtype() == DType::kInt64) {
      return AppendIndices<int64_t>(indices, model, size, rows);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the indices of model ", model, " are ", Describe(indices),
                   ", expected int32 or int64 of one dimension"));
}

}  // namespace

absl::StatusOr<DataRouter> DataRouter::Create(const std::string& mode,
                                              int num_models) {
  if (num_models < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_models is ", num_models, ", expected at least 1"));
  }
  for (RoutingMode known :
       {RoutingMode::kPassthrough, RoutingMode::kMask, RoutingMode::kIndices}) {
    if (mode == ModeName(known)) return DataRouter(known, num_models);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("mode is \"", mode,
                   "\", expected \"passthrough\", \"mask\" or \"indices\""));
}

absl::StatusOr<RoutedRows> DataRouter::Positions(
    int64_t size, absl::Span<const Tensor> masks,
    absl::Span<const Tensor> indices) const {
  MB_RETURN_IF_ERROR(CheckCount(mode_, "masks", masks.size(),
                                mode_ == RoutingMode::kMask, num_models_));
  MB_RETURN_IF_ERROR(CheckCount(mode_, "index lists", indices.size(),
                                mode_ == RoutingMode::kIndices, num_models_));
  RoutedRows routed;
  if (mode_ == RoutingMode::kPassthrough) {
    for (int64_t i = 0; i < size; ++i) {
      routed.rows.push_back(static_cast<int32_t>(i));
    }
    return routed;
  }
  routed.offsets.push_back(0);
  for (int model = 0; model < num_models_; ++model) {
    MB_RETURN_IF_ERROR(
        mode_ == RoutingMode::kMask
            ? SelectByMask(masks[model], model, size, &routed.rows)
            : SelectByIndices(indices[model], model, size, &routed.rows));
    routed.offsets.push_back(static_cast<int64_t>(routed.rows.size()));
  }
  return routed;
}

absl::StatusOr<RoutedRows> DataRouter::RouteBatch(
    absl::Span<const int32_t> batch, absl::Span<const Tensor> masks,
    absl::Span<const Tensor> indices) const {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the batch has row ", batch[i], " at position ", i,
                       ", expected at least 0"));
    }
  }
  MB_ASSIGN_OR_RETURN(
      RoutedRows routed,
      Positions(static_cast<int64_t>(batch.size()), masks, indices));
  for (int32_t& row : routed.rows) row = batch[row];
  return routed;
}

absl::StatusOr<PaddedBatch> DataRouter::RoutePadded(
    const Tensor& batch, absl::Span<const Tensor> masks,
    absl::Span<const Tensor> indices) const {
  if (batch.shape().empty() || batch.shape()[0] > kMaxRows) {
    return absl::InvalidArgumentError(
        absl::StrCat("the batch has shape ", ShapeToString(batch.shape()),
                     ", expected [batch, ...] of at most ", kMaxRows, " rows"));
  }
  MB_ASSIGN_OR_RETURN(const RoutedRows routed,
                      Positions(batch.shape()[0], masks, indices));
  if (mode_ == RoutingMode::kPassthrough) {
    return PaddedBatch{batch.Borrow(), {}, /*shared=*/true};
  }
  return PadRows(batch, routed, num_models_);
}

absl::StatusOr<PaddedBatch> PadRows(const Tensor& values,
                                    const RoutedRows& rows, int num_models) {
  if (num_models < 1 ||
      (!rows.shared() &&
       rows.offsets.size() != static_cast<size_t>(num_models) + 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of ", rows.shared() ? 1 : rows.offsets.size() - 1,
                     " models for ", num_models, " models"));
  }
  if (values.shape().empty()) {
    return absl::InvalidArgumentError(
        "the values are a scalar, expected [rows, ...]");
  }
  const int64_t size = values.shape()[0];
  PaddedBatch padded;
  int64_t most = 0;
  for (int model = 0; model < num_models; ++model) {
    const absl::Span<const int32_t> own = rows.of(model);
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i] < 0 || own[i] >= size) {
        return absl::InvalidArgumentError(
            absl::StrCat("model ", model, " has row ", own[i], " at position ",
                         i, ", ", ExpectedRow(size)));
      }
    }
    padded.row_counts.push_back(static_cast<int64_t>(own.size()));
    most = std::max(most, padded.row_counts.back());
  }
  Shape shape = values.shape();
  shape[0] = most;
  shape.insert(shape.begin(), num_models);
  padded.values = Tensor::Zeros(values.dtype(), std::move(shape));
  const size_t row_bytes =
      size == 0 ? 0 : values.byte_size() / static_cast<size_t>(size);
  if (row_bytes == 0) return padded;
  const char* from = static_cast<const char*>(values.raw());
  char* to = static_cast<char*>(padded.values.raw());
  for (int model = 0; model < num_models; ++model) {
    char* next = to + row_bytes * static_cast<size_t>(model * most);
    for (int32_t row : rows.of(model)) {
      std::memcpy(next, from + row_bytes * static_cast<size_t>(row), row_bytes);
      next += row_bytes;
    }
  }
  return padded;
}

}  // namespace modelbatch
