// Contenders of a comparison, each in processes of its own: one's threads,
// allocator and floating-point mode cannot reach another's, and a group of
// processes that share the work can be timed as one.
//
// A worker is forked from this process, or is a program in any language that
// answers these lines on its standard input with others on its standard
// output (peers/worker.py does it for Python):
//
//                    hello                  everything is loaded
//   make             ready JSON             the first step is done; JSON has
//                                           the versions: {"torch": "2.11.0"}
//                    unsupported REASON     it cannot train this workload
//   reset            ok                     to the initial weights
//   run STEPS AT     ran START END          AT, START and END in seconds of
//                                           CLOCK_MONOTONIC; waits for AT
//   weights PATH     ok                     float32, as Trainer::CopyWeights
//   quit
#ifndef BENCHMARKS_COMPARE_WORKER_PROCESS_H_
#define BENCHMARKS_COMPARE_WORKER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/trainer.h"
#include "nlohmann/json.hpp"

namespace modelbatch::benchmarks {

struct Sample {
  double seconds = 0;      // of all repeats, without the resets between
  double cpu_seconds = 0;  // that the group used meanwhile, resets included
};

struct Memory {
  int64_t before = 0;  // resident, before there was a trainer
  int64_t peak = 0;    // since
};

class WorkerGroup {
 public:
  // What one process does, some of the models: a trainer, or a command.
  struct Part {
    int64_t num_weights = 0;
    // Unimplemented: it cannot train this workload.
    std::function<absl::StatusOr<std::unique_ptr<Trainer>>()> make_trainer;
    std::vector<std::string> command;
  };

  // Starts a process a part and waits until all are ready. Unimplemented, with
  // the worker's reason, when it cannot train this workload; another error
  // has the end of what a command wrote to its standard error. `scratch` is a
  // folder. Call it before this process starts threads.
  static absl::StatusOr<std::unique_ptr<WorkerGroup>> Start(
      std::vector<Part> parts, const std::string& scratch);
  // Ends the processes.
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  int processes() const { return static_cast<int>(workers_.size()); }
  // Of what the first worker uses: an object of strings.
  const nlohmann::json& versions() const { return versions_; }
  // From `make` until all were ready: compilation and the first step.
  double seconds_to_ready() const { return seconds_to_ready_; }

  // All parts at once, `repeats` times from the initial weights: the time from
  // the first one's start until the last one's end.
  absl::StatusOr<Sample> Run(int steps, int repeats);

  // Of all parts, after the last run.
  absl::StatusOr<std::vector<float>> Weights();

  // Summed over the processes.
  Memory memory() const;

 private:
  struct Worker {
    pid_t pid = 0;
    FILE* to = nullptr;
    FILE* from = nullptr;
    std::string log;  // where a command's standard error goes
    int64_t resident_before = 0;
    int64_t num_weights = 0;
  };

  explicit WorkerGroup(std::string scratch) : scratch_(std::move(scratch)) {}
  absl::Status StartWorker(const Part& part);
  absl::Status Send(const Worker& worker, const std::string& line) const;
  // The answer without its first word, which must be `word`.
  absl::StatusOr<std::string> Receive(const Worker& worker,
                                      const std::string& word) const;
  absl::Status SendAll(const std::string& line) const;
  absl::Status Failed(const Worker& worker, const std::string& what) const;
  double CpuSeconds() const;

  const std::string scratch_;
  std::vector<Worker> workers_;
  nlohmann::json versions_;
  double seconds_to_ready_ = 0;
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_WORKER_PROCESS_H_
