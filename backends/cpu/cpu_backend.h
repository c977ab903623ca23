// The cpu backend: the grouped executor on CPU threads.
#ifndef BACKENDS_CPU_CPU_BACKEND_H_
#define BACKENDS_CPU_CPU_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cpu/cpu_executor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"
#include "modelbatch/util/thread_pool.h"

namespace modelbatch::cpu {

ProbeResult ProbeCpu();

class CpuBackend : public Backend {
 public:
  // Options: "threads" (int64, default 0: the CPUs this process may use),
  // "threads_per_model" (int64, default 0: where there are fewer models than
  // threads, as many as there are, if a step is long enough), "kernels"
  // ("best", "avx512", "avx2", "generic").
  static absl::StatusOr<std::unique_ptr<Backend>> Create(
      const Attributes& options);
  // The same with what no config reaches.
  static absl::StatusOr<std::unique_ptr<Backend>> CreateWith(
      const Attributes& options, CpuExecutor::Options executor_options);

  Capabilities capabilities() const override;
  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override;
  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override;

 private:
  CpuBackend() = default;

  CpuExecutor::Options executor_options_;
  std::shared_ptr<ThreadPool> pool_;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_CPU_BACKEND_H_
