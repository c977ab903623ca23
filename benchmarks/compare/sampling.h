// How something is timed on a machine that others use too: wait until nobody
// works, take a sample, look whether anybody worked meanwhile, and if so take
// it again.
#ifndef BENCHMARKS_COMPARE_SAMPLING_H_
#define BENCHMARKS_COMPARE_SAMPLING_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/status.h"
#include "benchmarks/compare/worker_process.h"

namespace modelbatch::benchmarks {

struct SamplingOptions {
  double sample_seconds = 0.5;  // least time of a sample
  double disturbance = 0.04;    // share of the CPUs that others may use
  int retries = 10;             // of a disturbed sample, then it is kept
  double patience = 60;         // seconds to wait for a quiet machine
};

struct Samples {
  std::vector<double> seconds;  // of a step, a sample each
  // The share of the CPUs that others used meanwhile.
  std::vector<double> others;
  int disturbed = 0;  // kept although disturbed
  int discarded = 0;

  // There must be a sample.
  double Median() const;
  double Min() const;
  double Max() const;
};

// A process that computes without end on one CPU, while this object lives.
class BusyNeighbour {
 public:
  BusyNeighbour();
  ~BusyNeighbour();
  BusyNeighbour(const BusyNeighbour&) = delete;
  BusyNeighbour& operator=(const BusyNeighbour&) = delete;

  double CpuSeconds() const;

 private:
  pid_t pid_ = 0;
};

// Something that is timed, `steps` at a time.
class Timed {
 public:
  Timed(WorkerGroup* group, int steps) : group_(group), steps_(steps) {}

  // Finds how many repeats a sample takes. `free_steps`: also how many steps a
  // repeat has, so that starting it weighs nothing.
  absl::Status Calibrate(const SamplingOptions& options, bool free_steps);
  // Adds a sample. With a neighbour, whose work is nobody's disturbance, it
  // does not wait for quiet.
  absl::Status Sample(const SamplingOptions& options,
                      const BusyNeighbour* neighbour, Samples* samples) const;

 private:
  WorkerGroup* group_;
  int steps_;
  int repeats_ = 1;
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_SAMPLING_H_
