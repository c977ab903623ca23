// The bytes that a training step of a workload moves by the schedule of
// backends/cuda (schedule/traffic.h). Host code: it needs no device.
#ifndef BENCHMARKS_STEP_TRAFFIC_H_
#define BENCHMARKS_STEP_TRAFFIC_H_

#include <string>

#include "absl/status/statusor.h"
#include "backends/cuda/schedule/traffic.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// Of the first batch, with Adam. Unimplemented names what cannot be planned.
absl::StatusOr<cuda::Traffic> StepTraffic(const Workload& workload,
                                          const std::string& precision);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_STEP_TRAFFIC_H_
