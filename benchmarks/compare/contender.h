// A peer in one arrangement on one workload: its processes and its samples.
#ifndef BENCHMARKS_COMPARE_CONTENDER_H_
#define BENCHMARKS_COMPARE_CONTENDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/compare/agreement.h"
#include "benchmarks/compare/peers.h"
#include "benchmarks/compare/sampling.h"
#include "benchmarks/compare/worker_process.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

struct Contender {
  const Peer* peer = nullptr;
  Arrangement arrangement;
  std::unique_ptr<WorkerGroup> group;  // null: it cannot train the workload
  std::string reason;                  // why not
  Agreement agreement;                 // with the first contender
  Samples quiet, disturbed_by_neighbour;

  std::string Name() const;  // "torch-vmap, 2 threads"
};

// Every peer in every arrangement that makes sense for the workload, without
// processes.
std::vector<Contender> MakeContenders(const std::vector<Peer>& peers,
                                      const Workload& workload);

// Starts the contenders' processes for `workload`, whose files are put into
// `scratch`. One that cannot train it says why.
absl::Status StartContenders(const Workload& workload,
                             const std::string& scratch,
                             std::vector<Contender>* contenders);

// Starts the contenders and holds them to each other: all must train the run
// that the first one trains, within what the precision allows (agreement.h).
// With dropout, whose masks every library draws in its own way, they are held
// to each other without, and each must then train another run with it.
// FailedPrecondition names who does not.
absl::Status StartAndCheck(const Workload& workload, const std::string& scratch,
                           const std::string& precision,
                           std::vector<Contender>* contenders);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_CONTENDER_H_
