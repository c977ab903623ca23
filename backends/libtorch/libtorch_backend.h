// The libtorch backend: stacked models on LibTorch. docs/libtorch.md says
// what runs how.
#ifndef BACKENDS_LIBTORCH_LIBTORCH_BACKEND_H_
#define BACKENDS_LIBTORCH_LIBTORCH_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/libtorch/device.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"
#include "modelbatch/util/thread_pool.h"

namespace modelbatch::libtorch {

ProbeResult ProbeLibTorch();

class LibTorchBackend : public Backend {
 public:
  // Options: "device" ("cpu", the default, or "cuda:0"), "threads" (int64,
  // default 0: the CPUs this process may use).
  static absl::StatusOr<std::unique_ptr<Backend>> Create(
      const Attributes& options);

  Capabilities capabilities() const override;
  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override;
  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override;

 private:
  LibTorchBackend() = default;

  DeviceChoice device_;
  std::shared_ptr<ThreadPool> pool_;
};

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LIBTORCH_BACKEND_H_
