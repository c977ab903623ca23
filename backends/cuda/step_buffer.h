// What goes to the device for a step and comes back from it, one copy each:
// which rows each model sees, its hyper-parameters and its step count; its
// outcome and its loss.
#ifndef BACKENDS_CUDA_STEP_BUFFER_H_
#define BACKENDS_CUDA_STEP_BUFFER_H_

#include <cstdint>

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

  // Rows [begin, begin + max_rows) of each model, as far as it has them. Models
  // with `active` 0 are inactive and see no rows, those without rows are empty.
  void SetRows(const RowSet& rows, int64_t begin, const uint8_t* active);
  // No model sees a row; those that are kStepped in `outcomes` stay so.
  void SetOutcomes(const Outcome* outcomes);
  void SetSteps(absl::Span<const int64_t> steps);
  void SetColumn(int column, const double* values);
  // nadam's numbers, by model.
  void SetMuProducts(const float* values);

  absl::Status Upload(Gpu* gpu);
  // Waits, then `losses` and `outcomes`, by model, are the step's, and the
  // `mu_products` of models that stepped; null: not wanted.
  absl::Status Download(Gpu* gpu, float* losses, Outcome* outcomes,
                        float* mu_products);

  int64_t bytes() const { return device_.bytes() + host_.bytes(); }

  // On the device.
  const int64_t* begin() const { return At<const int64_t>(begin_); }
  const int64_t* steps() const { return At<const int64_t>(steps_); }
  const double* column(int c) const {
    return At<const double>(columns_) + c * models_;
  }
  int32_t* rows() const { return At<int32_t>(rows_); }
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
    return reinterpret_cast<T*>(host_.data() + offset);
  }
  void Clear();

  int64_t models_ = 0, max_rows_ = 0;
  // In bytes. The last is `index_`, of which a step uploads what it uses.
  int64_t begin_ = 0, steps_ = 0, columns_ = 0, rows_ = 0, bad_ = 0;
  int64_t mu_products_ = 0, outcomes_ = 0, losses_ = 0, new_mu_products_ = 0;
  int64_t index_ = 0;
  int64_t used_ = 0;  // entries of the index
  DeviceArray<char> device_;
  HostArray<char> host_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_STEP_BUFFER_H_
