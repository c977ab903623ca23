// Contenders of a comparison, each in processes of its own: one's threads,
// allocator and floating-point mode cannot reach another's, and a group of
// processes that share the work can be timed as one.
#ifndef BENCHMARKS_WORKER_PROCESS_H_
#define BENCHMARKS_WORKER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

struct Sample {
  double seconds = 0;      // of all repeats, without the resets between
  double cpu_seconds = 0;  // that the group used meanwhile, resets included
};

struct Memory {
  int64_t before = 0;  // resident, before there was a trainer
  int64_t peak = 0;
};

class WorkerGroup {
 public:
  // Some models of the workload.
  struct Part {
    int64_t num_weights = 0;
    std::function<std::unique_ptr<Trainer>()> make_trainer;
  };

  // Forks a process a part, which makes its trainer there. Call it before this
  // process starts threads.
  explicit WorkerGroup(std::vector<Part> parts);
  // Ends the processes.
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  int processes() const { return static_cast<int>(workers_.size()); }

  // All parts at once, `repeats` times from the initial weights: the time from
  // when all are ready until the last is done.
  Sample Run(int steps, int repeats);

  // Of all parts, after the last run.
  std::vector<float> Weights();

  // Summed over the processes.
  Memory memory();

 private:
  struct Shared;  // memory that parent and workers see
  struct Worker {
    pid_t pid = 0;
    int to_worker = -1, from_worker = -1;
  };

  void Serve(const Part& part, float* weights, int from_parent, int to_parent);
  // Sends a command to every worker, then waits for every answer.
  struct Answer;
  std::vector<Answer> Ask(int command, int steps, int repeats);

  std::vector<Part> parts_;
  int64_t num_weights_ = 0;
  Shared* shared_ = nullptr;
  float* weights_ = nullptr;  // shared
  std::vector<Worker> workers_;
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_WORKER_PROCESS_H_
