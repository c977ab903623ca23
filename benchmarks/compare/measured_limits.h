// The limits, measured in the same run as what they bound: the model of the
// least time that a training step can take.
//
//   products  FLOP of the step / peak of a loop of FMAs
//   update    24 bytes a parameter / bandwidth of an update in place of that
//             working set
//
// A step needs at least the larger of the two, and their sum where the update
// does not overlap with the products.
#ifndef BENCHMARKS_COMPARE_MEASURED_LIMITS_H_
#define BENCHMARKS_COMPARE_MEASURED_LIMITS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/compare/limits.h"
#include "benchmarks/compare/sampling.h"
#include "benchmarks/compare/worker_process.h"
#include "benchmarks/workload.h"
#include "nlohmann/json.hpp"

namespace modelbatch::benchmarks {

// One limit on some cores: a process on each.
class MeasuredLimit {
 public:
  // Each process does `work`. Unimplemented, with the reason, where it cannot
  // be measured.
  static absl::StatusOr<MeasuredLimit> Start(const LimitWork& work, int cores,
                                             const std::string& scratch);

  absl::Status Calibrate(const SamplingOptions& options);
  absl::Status Sample(const SamplingOptions& options);

  int cores() const { return cores_; }
  // FLOP or bytes a second, the median.
  double Rate() const;
  // {"cores", "per_second", "samples"}
  nlohmann::json ToJson() const;

 private:
  MeasuredLimit() = default;

  std::unique_ptr<WorkerGroup> group_;
  std::unique_ptr<Timed> timed_;
  double per_step_ = 0;
  int cores_ = 1;
  Samples samples_;
};

// The limits of one workload, on one core and on all.
class StepLimits {
 public:
  static absl::StatusOr<StepLimits> Start(const Workload& workload,
                                          const std::string& scratch);
  absl::Status Calibrate(const SamplingOptions& options);
  // One sample of each.
  absl::Status Sample(const SamplingOptions& options);
  // An array, an object for each number of cores: {"cores", "fma", "update",
  // "level", "products_ms", "update_ms", "max_ms", "sum_ms"}.
  nlohmann::json ToJson() const;

 private:
  struct Pair {
    std::unique_ptr<MeasuredLimit> fma;  // null: not on this machine
    std::unique_ptr<MeasuredLimit> update;
    std::string level;
  };

  StepLimits() = default;

  double flops_ = 0, parameters_ = 0;
  std::vector<Pair> pairs_;
};

// What does not depend on the workload: the peaks of sgemm and the bandwidths
// of copies and updates in every level of the caches. An array of {"what",
// "cores", "per_second", ...}; what cannot be measured has "not_run".
absl::StatusOr<nlohmann::json> MeasureMachine(const SamplingOptions& options,
                                              int rounds,
                                              const std::string& scratch);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_MEASURED_LIMITS_H_
