// A dataset with a copy on the device. The host keeps its own for the checks of
// GroupedSession.
#ifndef BACKENDS_CUDA_CUDA_DATASET_H_
#define BACKENDS_CUDA_CUDA_DATASET_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/gpu.h"
#include "backends/grouped/dataset.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::cuda {

class CudaDataset : public grouped::HostDataset {
 public:
  // The errors of HostDataset; ResourceExhausted where the device has no room.
  static absl::StatusOr<std::unique_ptr<CudaDataset>> Create(
      std::shared_ptr<Gpu> gpu, Tensor features, Tensor targets);

  // On the device; null: there is none.
  const float* device_features() const { return features_.data(); }
  const int64_t* device_classes() const { return classes_.data(); }
  const float* device_values() const { return values_.data(); }

 private:
  CudaDataset(grouped::HostDataset host, std::shared_ptr<Gpu> gpu)
      : HostDataset(std::move(host)), gpu_(std::move(gpu)) {}

  std::shared_ptr<Gpu> gpu_;
  DeviceArray<float> features_, values_;
  DeviceArray<int64_t> classes_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CUDA_DATASET_H_
