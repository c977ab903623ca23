// A dataset in host memory, borrowed from the caller.
#ifndef BACKENDS_GROUPED_DATASET_H_
#define BACKENDS_GROUPED_DATASET_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::grouped {

class HostDataset : public Dataset {
 public:
  // features [rows, ...] float32; targets [rows] int64, [rows, ...] float32, or
  // empty. InvalidArgument says what was expected.
  static absl::StatusOr<std::unique_ptr<HostDataset>> Create(Tensor features,
                                                             Tensor targets);

  int64_t num_rows() const { return features_.shape()[0]; }
  int64_t row_size() const { return row_size_; }
  const float* features() const { return features_.data<float>(); }

  bool has_classes() const { return target_kind_ == TargetKind::kClasses; }
  const int64_t* classes() const { return targets_.data<int64_t>(); }
  int64_t target_size() const { return target_size_; }
  const float* values() const { return targets_.data<float>(); }

  // OK when every model of `plan` can read the features.
  absl::Status CheckFeatures(const Plan& plan) const;
  // OK when the targets fit the plan's loss and every model's output.
  absl::Status CheckTargets(const Plan& plan) const;

  // What `rows` weigh together in the mean of `loss`, to which the targets fit:
  // each 1, or on classes the weight of its class, 0 where ignored. 0: no row
  // counts. `weights`, if not null, gets each row's.
  double Weigh(const LossSettings& loss, absl::Span<const int32_t> rows,
               float* weights = nullptr) const;

 private:
  enum class TargetKind { kNone, kClasses, kValues };

  HostDataset() = default;
  void SummarizeTargets();
  absl::Status CheckClasses(const Plan& plan) const;
  absl::Status CheckValues(const Plan& plan) const;

  Tensor features_, targets_;
  int64_t row_size_ = 0;
  TargetKind target_kind_ = TargetKind::kNone;
  int64_t target_size_ = 0;  // kValues: of one row
  // kClasses: rows of the two smallest and the two largest classes. Whichever
  // class a loss ignores, the outermost of the others are among them.
  std::vector<int64_t> outermost_rows_;
  int64_t improbable_ = -1;  // kValues: the first element outside of [0, 1]
};

}  // namespace modelbatch::grouped

#endif  // BACKENDS_GROUPED_DATASET_H_
