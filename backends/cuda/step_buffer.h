// What goes to the device for a step, or for several, and comes back from it,
// one copy each: which rows each model sees, its hyper-parameters and its step
// count; its outcome and its loss. The host has two blocks that take turns, so
// that one is filled while the other is still on its way.
//
//   MB_RETURN_IF_ERROR(step.Begin(1, rows.rows.size()));
//   step.SetRows(rows, 0, active);
//   step.SetSteps(steps);
//   MB_RETURN_IF_ERROR(step.Upload());
//   ...launches...
//   MB_RETURN_IF_ERROR(step.Download());
//   MB_RETURN_IF_ERROR(step.Wait());
//   step.Read(losses, outcomes, nullptr);
//
// Each of several steps has a slot, a fixed place on the device by its number
// and that of steps; Select says which one is meant.
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

  // Waits for a block that is free and begins what is uploaded next: so many
  // slots, whose models have up to `index` rows in all, as a set of rows counts
  // them. ResourceExhausted: there is no memory for these; all is as before.
  absl::Status Begin(int64_t slots, int64_t index);
  // What follows, up to Upload, and what is on the device, is of this slot. 0
  // after Begin.
  void Select(int64_t slot) { slot_ = slot; }

  // Rows [begin, begin + max_rows) of each model, as far as it has them. Models
  // with `active` 0 are inactive and see no rows, those without rows are empty.
  void SetRows(const RowSet& rows, int64_t begin, const uint8_t* active);
  // No model sees a row; those that are kStepped in `outcomes` stay so.
  void SetOutcomes(const Outcome* outcomes);

  // Of the first slot: the others' are the device's.
  void SetSteps(absl::Span<const int64_t> steps);
  void SetColumn(int column, const double* values);
  // nadam's numbers, by model; of the first slot.
  void SetMuProducts(const float* values);

  // As much as the rows of these slots need.
  absl::Status Upload();
  // The same copy for each step: it may be recorded.
  absl::Status Download();
  absl::Status Wait();
  // Then: `losses` and `outcomes`, by model, are the slot's, and the
  // `mu_products` of models that stepped; null: not wanted.
  void Read(float* losses, Outcome* outcomes, float* mu_products) const;

  // Whether all models see the same rows, in each slot since Begin.
  bool shared() const { return shared_; }

  int64_t bytes() const {
    return device_.bytes() + blocks_[0].host.bytes() + blocks_[1].host.bytes() +
           results_.bytes();
  }

  // Where it lies; not the same after a Begin that needed more.
  const void* device_memory() const { return device_.data(); }
  const void* result_memory() const { return results_.data(); }

  // On the device, of the slot, until the next Begin.
  const int64_t* begin() const { return At<const int64_t>(begin_); }
  int64_t* steps() const { return At<int64_t>(steps_); }
  const double* column(int c) const {
    return At<const double>(columns_) + c * models_;
  }
  int32_t* rows() const { return At<int32_t>(rows_); }
  const int32_t* had_rows() const { return At<const int32_t>(had_rows_); }
  float* mu_products() const { return At<float>(mu_products_); }
  // 0 before each step, as `bad`.
  int32_t* large() const { return At<int32_t>(large_); }
  int32_t* bad() const { return ResultAt<int32_t>(bad_); }
  int32_t* outcomes() const { return ResultAt<int32_t>(outcomes_); }
  float* losses() const { return ResultAt<float>(losses_); }
  float* new_mu_products() const { return ResultAt<float>(new_mu_products_); }
  // Of all slots.
  const int32_t* index() const {
    return reinterpret_cast<const int32_t*>(device_.data() + index_begin());
  }

 private:
  // Offsets in a block: that of an argument, or of a result, of the slot.
  int64_t Argument(int64_t offset) const { return slot_ * arguments_ + offset; }
  int64_t Result(int64_t offset) const {
    return slots_ * arguments_ + slot_ * results_size_ + offset;
  }
  int64_t index_begin() const { return slots_ * (arguments_ + results_size_); }
  template <typename T>
  T* At(int64_t offset) const {
    return reinterpret_cast<T*>(device_.data() + Argument(offset));
  }
  template <typename T>
  T* ResultAt(int64_t offset) const {
    return reinterpret_cast<T*>(device_.data() + Result(offset));
  }
  template <typename T>
  T* Host(int64_t offset) const {  // in a block
    return reinterpret_cast<T*>(blocks_[current_].host.data() + offset);
  }
  // Makes room for blocks and results of these sizes.
  absl::Status Reserve(int64_t bytes, int64_t results);

  struct Block {
    HostArray<char> host;
    std::unique_ptr<Event> uploaded;
  };

  Gpu* gpu_ = nullptr;
  int64_t models_ = 0, max_rows_ = 0;
  // In bytes. A block has the arguments of each slot, the results of each slot,
  // then the index of all, of which as much is uploaded as is used.
  int64_t begin_ = 0, steps_ = 0, columns_ = 0, mu_products_ = 0;
  int64_t had_rows_ = 0, rows_ = 0, large_ = 0;
  int64_t arguments_ = 0;  // of a slot
  int64_t bad_ = 0, outcomes_ = 0, losses_ = 0, new_mu_products_ = 0;
  int64_t results_size_ = 0;  // of a slot
  int64_t slots_ = 1, slot_ = 0;
  int64_t used_ = 0;  // entries of the index
  DeviceArray<char> device_;
  Block blocks_[2];
  int current_ = 0;
  bool shared_ = false;
  HostArray<char> results_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_STEP_BUFFER_H_
