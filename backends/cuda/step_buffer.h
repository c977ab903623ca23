// What goes to the device for a step and comes back from it, one copy each:
// which rows each model sees, its hyper-parameters and its step count; its
// outcome and its loss. The host has two blocks that take turns, so that one is
// filled while the other is still on its way.
//
//   MB_RETURN_IF_ERROR(step.SetRows(rows, 0, active));  // first
//   step.SetSteps(steps);
//   MB_RETURN_IF_ERROR(step.Upload());
//   ...launches...
//   MB_RETURN_IF_ERROR(step.Download());
//   MB_RETURN_IF_ERROR(step.Wait(losses, outcomes, nullptr));
#ifndef BACKENDS_CUDA_STEP_BUFFER_H_
#define BACKENDS_CUDA_STEP_BUFFER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/gpu.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch::cuda {

class StepBuffer {
 public:
  // Columns of one step: an optimizer's, and those of the gradients.
  static constexpr int kColumns = 8 + 3;

  absl::Status Allocate(Gpu* gpu, int64_t models, int64_t max_rows);

  // Both wait for a block that is free and begin what is uploaded next.
  //
  // Rows [begin, begin + max_rows) of each model, as far as it has them. Models
  // with `active` 0 are inactive and see no rows, those without rows are empty.
  absl::Status SetRows(const RowSet& rows, int64_t begin,
                       const uint8_t* active);
  // No model sees a row; those that are kStepped in `outcomes` stay so.
  absl::Status SetOutcomes(const Outcome* outcomes);

  void SetSteps(absl::Span<const int64_t> steps);
  void SetColumn(int column, const double* values);
  // nadam's numbers, by model.
  void SetMuProducts(const float* values);

  // As much as the rows of this step need.
  absl::Status Upload();
  // The same copy for each step: it may be recorded.
  absl::Status Download();
  // Waits, then `losses` and `outcomes`, by model, are the step's, and the
  // `mu_products` of models that stepped; null: not wanted.
  absl::Status Wait(float* losses, Outcome* outcomes, float* mu_products);

  // Whether all models see the same rows, of the last SetRows.
  bool shared() const { return shared_; }

  int64_t bytes() const {
    return device_.bytes() + blocks_[0].host.bytes() + blocks_[1].host.bytes() +
           results_.bytes();
  }

  // On the device.
  const int64_t* begin() const { return At<const int64_t>(begin_); }
  const int64_t* steps() const { return At<const int64_t>(steps_); }
  const double* column(int c) const {
    return At<const double>(columns_) + c * models_;
  }
  int32_t* rows() const { return At<int32_t>(rows_); }
  // 0 before each step, as `bad`.
  int32_t* large() const { return At<int32_t>(large_); }
  int32_t* bad() const { return At<int32_t>(bad_); }
  int32_t* outcomes() const { return At<int32_t>(outcomes_); }
  float* losses() const { return At<float>(losses_); }
  const float* mu_products() const { return At<const float>(mu_products_); }
  float* new_mu_products() const { return At<float>(new_mu_products_); }
  const int32_t* index() const { return At<const int32_t>(index_); }

 private:
  template <typename T>
  T* At(int64_t offset) const {
    return reinterpret_cast<T*>(device_.data() + offset);
  }
  template <typename T>
  T* Host(int64_t offset) const {
    return reinterpret_cast<T*>(blocks_[current_].host.data() + offset);
  }
  // Of the device's block, from `bad_` on.
  template <typename T>
  const T* Result(int64_t offset) const {
    return reinterpret_cast<const T*>(results_.data() + offset - bad_);
  }
  absl::Status Begin();

  struct Block {
    HostArray<char> host;
    std::unique_ptr<Event> uploaded;
  };

  Gpu* gpu_ = nullptr;
  int64_t models_ = 0, max_rows_ = 0;
  // In bytes. The last is `index_`, of which a step uploads what it uses.
  int64_t begin_ = 0, steps_ = 0, columns_ = 0, rows_ = 0, bad_ = 0;
  int64_t large_ = 0;
  int64_t mu_products_ = 0, outcomes_ = 0, losses_ = 0, new_mu_products_ = 0;
  int64_t index_ = 0;
  int64_t used_ = 0;  // entries of the index
  DeviceArray<char> device_;
  Block blocks_[2];
  int current_ = 0;
  bool shared_ = false;
  HostArray<char> results_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_STEP_BUFFER_H_
