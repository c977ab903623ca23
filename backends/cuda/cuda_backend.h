// The cuda backend: the grouped executor on a CUDA device.
#ifndef BACKENDS_CUDA_CUDA_BACKEND_H_
#define BACKENDS_CUDA_CUDA_BACKEND_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "backends/cuda/gpu.h"
#include "backends/cuda/schedule/epilogue_updates.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch::cuda {

// Opens the device once more, with a stream of its own.
using GpuFactory = std::function<absl::StatusOr<std::unique_ptr<Gpu>>()>;

class CudaBackend : public Backend {
 public:
  // `updates`: for tests.
  explicit CudaBackend(GpuFactory open,
                       EpilogueUpdates updates = EpilogueUpdates::kWhereTheyPay)
      : open_(std::move(open)), updates_(updates) {}

  Capabilities capabilities() const override;
  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override;
  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override;

 private:
  const GpuFactory open_;
  const EpilogueUpdates updates_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CUDA_BACKEND_H_
