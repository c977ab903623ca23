#include "modelbatch/batch/evaluate.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

using batch_internal::InModel;

absl::Status CheckTargets(const Tensor& targets, const RowSet& rows,
                          bool classes) {
  const DType dtype = classes ? DType::kInt64 : DType::kFloat32;
  const bool fits =
      classes ? targets.shape().size() == 1 : targets.shape().size() >= 2;
  if (targets.dtype() != dtype || !fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "targets are ", DTypeName(targets.dtype()), " ",
        ShapeToString(targets.shape()), ", expected ",
        classes ? "class indices, int64 [rows]" : "float32 [rows, ...]"));
  }
  for (const int32_t row : rows.rows) {
    if (row >= 0 && row < targets.shape()[0]) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "row ", row, " has no target: targets are ", DTypeName(targets.dtype()),
        " ", ShapeToString(targets.shape())));
  }
  return absl::OkStatus();
}

// What the counters take: classes as [rows], values as [rows, columns].
Tensor TargetsOf(absl::Span<const int32_t> rows, const Tensor& targets) {
  Shape shape = {static_cast<int64_t>(rows.size())};
  const int64_t columns =
      NumElements({targets.shape().begin() + 1, targets.shape().end()});
  if (targets.shape().size() > 1) shape.push_back(columns);
  Tensor gathered = Tensor::Zeros(targets.dtype(), std::move(shape));
  const size_t bytes = columns * DTypeSize(targets.dtype());
  char* to = static_cast<char*>(gathered.raw());
  const char* const from = static_cast<const char*>(targets.raw());
  for (const int32_t row : rows) {
    std::memcpy(to, from + row * bytes, bytes);
    to += bytes;
  }
  return gathered;
}

int64_t OutputsOfARow(const ModelBatch& batch, size_t model) {
  return NumElements(batch.layout(static_cast<int>(model)).output());
}

// Every row of an active model has a class that the model knows. The counters
// look again, but do not know the rows' numbers.
absl::Status CheckClasses(const ModelBatch& batch, const Tensor& targets,
                          const RowSet& rows, int64_t ignore_index) {
  int64_t checked = 0;  // for so many classes, of rows that all models share
  for (int i = 0; i < batch.num_models(); ++i) {
    const int64_t classes = OutputsOfARow(batch, i);
    if (batch.active()[i] == 0 || classes == checked) continue;
    for (const int32_t row : RowsOf(rows, i)) {
      const int64_t label = targets.data<int64_t>()[row];
      if (label == ignore_index || (label >= 0 && label < classes)) continue;
      return InModel(batch.model(i), absl::InvalidArgumentError(absl::StrCat(
                                         "target of row ", row, " is class ",
                                         label, ", expected 0 to ", classes - 1,
                                         " or ignore_index, ", ignore_index)));
    }
    if (rows.offsets.empty()) checked = classes;
  }
  return absl::OkStatus();
}

// The rows from `begin` on of every active model, `count` of each at most.
class Chunk {
 public:
  Chunk(const RowSet& rows, absl::Span<const uint8_t> active, size_t begin,
        size_t count) {
    const bool all = std::find(active.begin(), active.end(), 0) == active.end();
    shared_ = rows.offsets.empty() && all;
    if (shared_) {
      rows_ = {rows.rows.subspan(begin, count), {}};
      return;
    }
    offsets_.push_back(0);
    for (size_t i = 0; i < active.size(); ++i) {
      const absl::Span<const int32_t> own = RowsOf(rows, i);
      if (active[i] != 0 && own.size() > begin) {
        const auto piece = own.subspan(begin, count);
        own_.insert(own_.end(), piece.begin(), piece.end());
      }
      offsets_.push_back(static_cast<int64_t>(own_.size()));
    }
    rows_ = {own_, offsets_};
  }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  const RowSet& rows() const { return rows_; }
  bool shared() const { return shared_; }

 private:
  RowSet rows_;
  bool shared_ = false;
  std::vector<int32_t> own_;
  std::vector<int64_t> offsets_;
};

// Runs the active models through the rows piece by piece and adds the outputs
// to the counter of each.
template <typename Counter>
absl::Status Count(ModelBatch* batch, const Dataset& dataset,
                   const Tensor& targets, const RowSet& rows,
                   int64_t outputs_at_once, std::vector<Counter>* counters) {
  const size_t models = counters->size();
  int64_t outputs_of_a_row = 0;
  size_t most = 0;
  for (size_t i = 0; i < models; ++i) {
    if (batch->active()[i] == 0) continue;
    outputs_of_a_row += OutputsOfARow(*batch, i);
    most = std::max(most, RowsOf(rows, i).size());
  }
  const size_t count = static_cast<size_t>(std::max<int64_t>(
      1, outputs_at_once / std::max<int64_t>(1, outputs_of_a_row)));
  std::vector<Tensor> outputs;
  for (size_t begin = 0; begin < most; begin += count) {
    const Chunk chunk(rows, batch->active(), begin, count);
    MB_RETURN_IF_ERROR(batch->Predict(dataset, chunk.rows(), &outputs));
    Tensor own;
    if (chunk.shared()) own = TargetsOf(chunk.rows().rows, targets);
    for (size_t i = 0; i < models; ++i) {
      if (batch->active()[i] == 0) continue;
      if (!chunk.shared()) own = TargetsOf(RowsOf(chunk.rows(), i), targets);
      const Tensor x =
          View(outputs[i], {own.shape()[0], OutputsOfARow(*batch, i)});
      const absl::Status status = (*counters)[i].Add(x, own);
      if (!status.ok()) {
        return InModel(batch->model(static_cast<int>(i)), status);
      }
    }
  }
  return absl::OkStatus();
}

template <typename Counter, typename Options, typename Metrics>
absl::Status ComputeMetrics(ModelBatch* batch, const Dataset& dataset,
                            const Tensor& targets, const RowSet& rows,
                            int64_t outputs_at_once, const Options& options,
                            std::vector<Metrics>* metrics) {
  std::vector<Counter> counters;
  for (int i = 0; i < batch->num_models(); ++i) {
    absl::StatusOr<Counter> counter =
        Counter::Create(OutputsOfARow(*batch, i), options);
    if (!counter.ok()) return InModel(batch->model(i), counter.status());
    counters.push_back(*std::move(counter));
  }
  MB_RETURN_IF_ERROR(
      Count(batch, dataset, targets, rows, outputs_at_once, &counters));
  for (const Counter& counter : counters) {
    metrics->push_back(counter.Metrics());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Evaluation> Evaluate(ModelBatch* batch, const Dataset& dataset,
                                    const Tensor& targets, const RowSet& rows,
                                    const EvaluateOptions& options) {
  MB_ASSIGN_OR_RETURN(const LossSettings loss, ReadLoss(batch->loss()));
  MB_RETURN_IF_ERROR(CheckTargets(targets, rows, loss.has_classes()));
  EvaluateResult result;
  MB_RETURN_IF_ERROR(batch->Evaluate(dataset, rows, &result));
  Evaluation evaluation;
  evaluation.losses = std::move(result.losses);
  if (loss.has_classes()) {
    MB_RETURN_IF_ERROR(CheckClasses(*batch, targets, rows, loss.ignore_index));
    MB_RETURN_IF_ERROR(ComputeMetrics<ClassificationCounter>(
        batch, dataset, targets, rows, options.outputs_at_once,
        ClassificationOptions{loss.ignore_index, options.top_k},
        &evaluation.classification));
  } else {
    MB_RETURN_IF_ERROR(ComputeMetrics<RegressionCounter>(
        batch, dataset, targets, rows, options.outputs_at_once,
        RegressionOptions{loss.kind == LossKind::kBceWithLogits},
        &evaluation.regression));
  }
  for (int i = 0; i < batch->num_models(); ++i) {
    const int64_t counted = loss.has_classes()
                                ? evaluation.classification[i].rows
                                : evaluation.regression[i].rows;
    if (counted == 0) {
      evaluation.losses[i] = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return evaluation;
}

}  // namespace modelbatch
