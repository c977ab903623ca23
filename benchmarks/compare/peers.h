// Who takes part in the comparison, and in which arrangements: the table of
// peers (peers.cc).
#ifndef BENCHMARKS_COMPARE_PEERS_H_
#define BENCHMARKS_COMPARE_PEERS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "benchmarks/compare/worker_process.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// One way to run one peer.
struct Arrangement {
  int threads = 1;    // of each process; 0: its own choice
  int processes = 1;  // that share the models
  // "grouped" or "padded": how a peer that stacks models does it where they
  // differ in width. Empty: it does not stack, or they do not.
  std::string stacks;

  std::string Name() const;  // "2 processes, padded"
};

struct Peer {
  std::string name;  // "torch-vmap"
  std::string what;  // a line about it
  bool stacks = false;
  std::vector<Arrangement> arrangements;
  // The part of models [first, last), the `process`-th of its arrangement.
  // `workload` outlives it, `folder` has its files.
  std::function<WorkerGroup::Part(
      const Workload& workload, const std::string& folder,
      const Arrangement& arrangement, int process, int first, int last)>
      part;
};

struct PeerOptions {
  std::vector<std::string> backends;  // of ModelBatch: names or paths
  int threads = 0;                    // of ModelBatch; 0: the backend's choice
  bool compile = false;               // ModelBatch::EnableCompile
  std::string precision = "fp32";     // of everybody's products
  std::string device = "cpu";         // or "cuda": of the others
  int cpus = 1;                       // that the other peers may use
  // "name=command": workers of the caller's own, which get the arguments of
  // peers/worker.py.
  std::vector<std::string> commands;
  std::string program;  // argv[0], to find the peers' files
};

// ModelBatch's backends first.
absl::StatusOr<std::vector<Peer>> AllPeers(const PeerOptions& options);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_PEERS_H_
