#include "backends/cuda/step_buffer.h"

#include <algorithm>
#include <cstring>

#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

absl::Status StepBuffer::Allocate(Gpu* gpu, int64_t models, int64_t max_rows) {
  gpu_ = gpu;
  models_ = models;
  max_rows_ = max_rows;
  int64_t bytes = 0;
  const auto take = [&bytes](int64_t more) {
    const int64_t offset = bytes;
    bytes += (more + 15) / 16 * 16;
    return offset;
  };
  begin_ = take(models * sizeof(int64_t));
  steps_ = take(models * sizeof(int64_t));
  columns_ = take(kColumns * models * sizeof(double));
  mu_products_ = take(models * sizeof(float));
  rows_ = take(models * sizeof(int32_t));
  large_ = take(models * sizeof(int32_t));
  bad_ = take(models * sizeof(int32_t));
  outcomes_ = take(models * sizeof(int32_t));
  losses_ = take(models * sizeof(float));
  new_mu_products_ = take(models * sizeof(float));
  index_ = take(models * max_rows * sizeof(int32_t));
  MB_RETURN_IF_ERROR(device_.Allocate(gpu, bytes));
  for (Block& block : blocks_) {
    MB_RETURN_IF_ERROR(block.host.Allocate(gpu, bytes));
    std::memset(block.host.data(), 0, bytes);
    MB_ASSIGN_OR_RETURN(block.uploaded, gpu->CreateEvent());
  }
  return results_.Allocate(gpu, index_ - bad_);
}

absl::Status StepBuffer::Begin() {
  current_ ^= 1;
  MB_RETURN_IF_ERROR(blocks_[current_].uploaded->Wait());
  std::memset(Host<char>(rows_), 0, index_ - rows_);
  used_ = 0;
  return absl::OkStatus();
}

absl::Status StepBuffer::SetRows(const RowSet& rows, int64_t begin,
                                 const uint8_t* active) {
  MB_RETURN_IF_ERROR(Begin());
  int32_t* const index = Host<int32_t>(index_);
  shared_ = rows.offsets.empty();
  for (int64_t m = 0; m < models_; ++m) {
    const absl::Span<const int32_t> all = RowsOf(rows, m);
    const int64_t count = std::min(
        max_rows_,
        std::max<int64_t>(0, static_cast<int64_t>(all.size()) - begin));
    const bool is_active = active == nullptr || active[m] != 0;
    Host<int32_t>(outcomes_)[m] =
        static_cast<int32_t>(!is_active   ? Outcome::kInactive
                             : count == 0 ? Outcome::kEmpty
                                          : Outcome::kStepped);
    Host<int32_t>(rows_)[m] = is_active ? static_cast<int32_t>(count) : 0;
    Host<int64_t>(begin_)[m] = shared_ ? 0 : used_;
    if (shared_ ? m > 0 : !is_active) continue;
    std::copy_n(all.data() + (count > 0 ? begin : 0), count, index + used_);
    used_ += count;
  }
  return absl::OkStatus();
}

absl::Status StepBuffer::SetOutcomes(const Outcome* outcomes) {
  MB_RETURN_IF_ERROR(Begin());
  for (int64_t m = 0; m < models_; ++m) {
    Host<int32_t>(outcomes_)[m] = static_cast<int32_t>(outcomes[m]);
  }
  return absl::OkStatus();
}

void StepBuffer::SetSteps(absl::Span<const int64_t> steps) {
  std::copy(steps.begin(), steps.end(), Host<int64_t>(steps_));
}

void StepBuffer::SetColumn(int column, const double* values) {
  std::copy_n(values, models_, Host<double>(columns_) + column * models_);
}

void StepBuffer::SetMuProducts(const float* values) {
  std::copy_n(values, models_, Host<float>(mu_products_));
  // Of a model without parameters, which no block updates.
  std::copy_n(values, models_, Host<float>(new_mu_products_));
}

absl::Status StepBuffer::Upload() {
  const Block& block = blocks_[current_];
  MB_RETURN_IF_ERROR(
      gpu_->Upload(device_.data(), block.host.data(),
                   index_ + used_ * static_cast<int64_t>(sizeof(int32_t))));
  return block.uploaded->Record();
}

absl::Status StepBuffer::Download() {
  return gpu_->Download(results_.data(), At<char>(bad_), results_.bytes());
}

absl::Status StepBuffer::Wait(float* losses, Outcome* outcomes,
                              float* mu_products) {
  MB_RETURN_IF_ERROR(gpu_->Synchronize());
  for (int64_t m = 0; m < models_; ++m) {
    auto outcome = static_cast<Outcome>(Result<int32_t>(outcomes_)[m]);
    if (outcome == Outcome::kStepped && Result<int32_t>(bad_)[m] != 0) {
      outcome = Outcome::kNonFiniteGradient;
    }
    if (losses != nullptr) losses[m] = Result<float>(losses_)[m];
    if (outcomes != nullptr) outcomes[m] = outcome;
    if (mu_products != nullptr && outcome == Outcome::kStepped) {
      mu_products[m] = Result<float>(new_mu_products_)[m];
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::cuda
