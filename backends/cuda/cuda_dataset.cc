#include "backends/cuda/cuda_dataset.h"

#include <utility>

#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

template <typename T>
absl::Status Copy(Gpu* gpu, const T* from, int64_t size, DeviceArray<T>* to) {
  MB_RETURN_IF_ERROR(to->Allocate(gpu, size));
  return gpu->Upload(to->data(), from, to->bytes());
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaDataset>> CudaDataset::Create(
    std::shared_ptr<Gpu> gpu, Tensor features, Tensor targets) {
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<grouped::HostDataset> host,
      grouped::HostDataset::Create(std::move(features), std::move(targets)));
  auto dataset = std::unique_ptr<CudaDataset>(
      new CudaDataset(std::move(*host), std::move(gpu)));
  Gpu* const device = dataset->gpu_.get();
  const int64_t rows = dataset->num_rows();
  MB_RETURN_IF_ERROR(Copy(device, dataset->features(),
                          rows * dataset->row_size(), &dataset->features_));
  if (dataset->has_classes()) {
    MB_RETURN_IF_ERROR(
        Copy(device, dataset->classes(), rows, &dataset->classes_));
  } else if (dataset->target_size() > 0) {
    MB_RETURN_IF_ERROR(Copy(device, dataset->values(),
                            rows * dataset->target_size(), &dataset->values_));
  }
  MB_RETURN_IF_ERROR(device->Synchronize());
  return dataset;
}

}  // namespace modelbatch::cuda
