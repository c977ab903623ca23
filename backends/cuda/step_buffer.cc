#include "backends/cuda/step_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

absl::Status StepBuffer::Allocate(Gpu* gpu, int64_t models, int64_t max_rows) {
  gpu_ = gpu;
  models_ = models;
  max_rows_ = max_rows;
  int64_t bytes = 0;
  const auto take = [&bytes](int64_t more) {
    const int64_t offset = bytes;
    bytes += RoundUp(more, 16);
    return offset;
  };
  begin_ = take(models * sizeof(int64_t));
  steps_ = take(models * sizeof(int64_t));
  columns_ = take(kColumns * models * sizeof(double));
  mu_products_ = take(models * sizeof(float));
  had_rows_ = take(models * sizeof(int32_t));
  rows_ = take(models * sizeof(int32_t));
  large_ = take(models * sizeof(int32_t));
  arguments_ = bytes;
  bytes = 0;
  bad_ = take(models * sizeof(int32_t));
  outcomes_ = take(models * sizeof(int32_t));
  losses_ = take(models * sizeof(float));
  new_mu_products_ = take(models * sizeof(float));
  results_size_ = bytes;
  for (Block& block : blocks_) {
    MB_ASSIGN_OR_RETURN(block.uploaded, gpu->CreateEvent());
  }
  return Reserve(
      index_begin() + models * max_rows * static_cast<int64_t>(sizeof(int32_t)),
      results_size_);
}

absl::Status StepBuffer::Reserve(int64_t bytes, int64_t results) {
  bytes = std::max(bytes, device_.bytes());
  results = std::max(results, results_.bytes());
  DeviceArray<char> device;
  HostArray<char> host[2], back;
  MB_RETURN_IF_ERROR(device.Allocate(gpu_, bytes));
  MB_RETURN_IF_ERROR(back.Allocate(gpu_, results));
  for (int b = 0; b < 2; ++b) {
    MB_RETURN_IF_ERROR(host[b].Allocate(gpu_, bytes));
    std::memset(host[b].data(), 0, bytes);
  }
  // What is there may still be on its way.
  if (device_.allocated()) MB_RETURN_IF_ERROR(gpu_->Synchronize());
  device_ = std::move(device);
  results_ = std::move(back);
  for (int b = 0; b < 2; ++b) blocks_[b].host = std::move(host[b]);
  return absl::OkStatus();
}

absl::Status StepBuffer::Begin(int64_t slots, int64_t index) {
  const int64_t bytes = slots * (arguments_ + results_size_) +
                        index * static_cast<int64_t>(sizeof(int32_t));
  const int64_t results = slots * results_size_;
  if (bytes > device_.bytes() || results > results_.bytes()) {
    // Half as much again: rows of one's own differ in number.
    MB_RETURN_IF_ERROR(Reserve(bytes + bytes / 2, results));
  }
  current_ ^= 1;
  MB_RETURN_IF_ERROR(blocks_[current_].uploaded->Wait());
  slots_ = slots;
  for (slot_ = 0; slot_ < slots; ++slot_) {
    std::memset(Host<char>(Argument(had_rows_)), 0, arguments_ - had_rows_);
  }
  slot_ = 0;
  std::memset(Host<char>(Result(0)), 0, slots * results_size_);
  used_ = 0;
  shared_ = true;
  return absl::OkStatus();
}

void StepBuffer::SetRows(const RowSet& rows, int64_t begin,
                         const uint8_t* active) {
  int32_t* const index = Host<int32_t>(index_begin());
  const bool shared = rows.offsets.empty();
  shared_ = shared_ && shared;
  const int64_t first = used_;
  for (int64_t m = 0; m < models_; ++m) {
    const absl::Span<const int32_t> all = RowsOf(rows, m);
    const int64_t count = std::min(
        max_rows_,
        std::max<int64_t>(0, static_cast<int64_t>(all.size()) - begin));
    const bool is_active = active == nullptr || active[m] != 0;
    Host<int32_t>(Result(outcomes_))[m] =
        static_cast<int32_t>(!is_active   ? Outcome::kInactive
                             : count == 0 ? Outcome::kEmpty
                                          : Outcome::kStepped);
    Host<int32_t>(Argument(rows_))[m] =
        is_active ? static_cast<int32_t>(count) : 0;
    Host<int32_t>(Argument(had_rows_))[m] = is_active && count > 0 ? 1 : 0;
    Host<int64_t>(Argument(begin_))[m] = shared ? first : used_;
    if (shared ? m > 0 : !is_active) continue;
    std::copy_n(all.data() + (count > 0 ? begin : 0), count, index + used_);
    used_ += count;
  }
}

void StepBuffer::SetOutcomes(const Outcome* outcomes) {
  for (int64_t m = 0; m < models_; ++m) {
    Host<int32_t>(Result(outcomes_))[m] = static_cast<int32_t>(outcomes[m]);
  }
}

void StepBuffer::SetSteps(absl::Span<const int64_t> steps) {
  std::copy(steps.begin(), steps.end(), Host<int64_t>(Argument(steps_)));
}

void StepBuffer::SetColumn(int column, const double* values) {
  std::copy_n(values, models_,
              Host<double>(Argument(columns_)) + column * models_);
}

void StepBuffer::SetMuProducts(const float* values) {
  std::copy_n(values, models_, Host<float>(Argument(mu_products_)));
  // Of a model without parameters, which no block updates.
  std::copy_n(values, models_, Host<float>(Result(new_mu_products_)));
}

absl::Status StepBuffer::Upload() {
  const Block& block = blocks_[current_];
  MB_RETURN_IF_ERROR(gpu_->Upload(
      device_.data(), block.host.data(),
      index_begin() + used_ * static_cast<int64_t>(sizeof(int32_t))));
  return block.uploaded->Record();
}

absl::Status StepBuffer::Download() {
  return gpu_->Download(results_.data(), device_.data() + slots_ * arguments_,
                        slots_ * results_size_);
}

absl::Status StepBuffer::Wait() { return gpu_->Synchronize(); }

void StepBuffer::Read(float* losses, Outcome* outcomes,
                      float* mu_products) const {
  const char* const of_slot = results_.data() + slot_ * results_size_;
  const auto* const bad = reinterpret_cast<const int32_t*>(of_slot + bad_);
  const auto* const became =
      reinterpret_cast<const int32_t*>(of_slot + outcomes_);
  const auto* const loss = reinterpret_cast<const float*>(of_slot + losses_);
  const auto* const product =
      reinterpret_cast<const float*>(of_slot + new_mu_products_);
  for (int64_t m = 0; m < models_; ++m) {
    auto outcome = static_cast<Outcome>(became[m]);
    if (outcome == Outcome::kStepped && bad[m] != 0) {
      outcome = Outcome::kNonFiniteGradient;
    }
    if (losses != nullptr) losses[m] = loss[m];
    if (outcomes != nullptr) outcomes[m] = outcome;
    if (mu_products != nullptr && outcome == Outcome::kStepped) {
      mu_products[m] = product[m];
    }
  }
}

}  // namespace modelbatch::cuda
