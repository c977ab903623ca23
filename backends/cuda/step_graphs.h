// Training steps as CUDA graphs: what a step, or several in one call, launches
// is recorded once for each kind of it, and launched as one from then on. What
// differs between steps of a kind (rows, who is active, hyper-parameters, step
// counts) is uploaded before and is no part of it.
//
//   graphs.Enable();
//   MB_RETURN_IF_ERROR(graphs.Run(gpu, kind, [&] { return LaunchStep(); }));
#ifndef BACKENDS_CUDA_STEP_GRAPHS_H_
#define BACKENDS_CUDA_STEP_GRAPHS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/gpu.h"
#include "backends/grouped/executor.h"
#include "modelbatch/backend/tune_report.h"

namespace modelbatch::cuda {

// What the launches of a step depend on besides the plan.
struct StepKind {
  grouped::OptimizerKind optimizer = grouped::OptimizerKind::kNone;
  bool gradient_scale = false, clip_value = false, clip_norm = false;
  bool keep_gradients = false, accumulate = false, update = false;
  int64_t steps = 1;         // made by it, one after the other
  bool shared_rows = false;  // of a plan whose launches depend on it
  // Of the dataset and the arenas, which come and go.
  std::vector<const void*> addresses;

  // Whatever the addresses are.
  bool IsLike(const StepKind& other) const;
  // "step with adam, clip_norm"; "16 steps with adam".
  std::string ToString() const;
};

class StepGraphs {
 public:
  // At most this many kinds are known at a time; the one that was not run for
  // longest makes room.
  static constexpr int kMostKinds = 8;

  void Enable();
  bool enabled() const { return enabled_; }

  // Calls `launch`, or launches what it recorded. The first step of a kind is
  // launched as it is, which also loads its kernels: that could fail while
  // calls are recorded. The second is recorded.
  //
  // Where that fails, nothing of the step was launched: the error says so, and
  // graphs are off, as Notes() says, until Enable.
  absl::Status Run(Gpu* gpu, const StepKind& kind,
                   absl::FunctionRef<absl::Status()> launch);

  // A line for each kind that has a graph, or one that says that none has.
  std::vector<TuneChoice> Choices() const;
  // Counts, for people; what failed. Empty: never enabled.
  std::string Notes() const;

 private:
  struct Known {
    StepKind kind;
    std::unique_ptr<Graph> graph;  // null: seen once
    int64_t launches = 0;
  };

  absl::Status Record(Gpu* gpu, absl::FunctionRef<absl::Status()> launch,
                      Known* known);
  absl::Status Fail(const absl::Status& status, const std::string& what);

  bool enabled_ = false;
  std::string failure_;                   // why it is not any more
  std::list<Known> known_;                // the last one run first
  std::vector<StepKind> recorded_kinds_;  // without addresses
  int64_t recorded_ = 0;                  // graphs made
  int64_t recorded_again_ = 0;            // of them of a kind that had had one
  int64_t launched_ = 0;                  // steps that were a graph
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_STEP_GRAPHS_H_
