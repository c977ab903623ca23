// A plan made ready for a device that launches kernels: for each operation the
// tables and tile lists of all models. Host code that knows no device.
//
// What depends on a step (which rows, how many, which models) is not here: it
// arrives as arrays that the kernels read, so that a schedule is uploaded once.
#ifndef BACKENDS_CUDA_SCHEDULE_SCHEDULE_H_
#define BACKENDS_CUDA_SCHEDULE_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/cuda/schedule/epilogue_updates.h"
#include "backends/cuda/schedule/fusion.h"
#include "backends/cuda/schedule/layout.h"
#include "backends/cuda/schedule/problem.h"
#include "backends/cuda/schedule/tiles.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cuda {

struct ProductSchedule {
  std::vector<ProductProblem> problems;  // by model
  std::vector<TileList> lists;           // empty: not wanted
};

// Of a linear layer.
struct LinearSchedule {
  ProductSchedule forward, input_gradient, weight_gradient;
  // Of `forward`, for steps in which all models see the same rows.
  WideProduct wide;
};

struct Schedule {
  std::vector<Fusion> fusion;          // by operation
  std::vector<bool> input;             // by ValueId: the dataset's rows
  std::vector<ModelLayout> layouts;    // by model
  std::vector<LinearSchedule> linear;  // by operation; empty for others
  std::vector<StateTile> state_tiles;
  // Updates in epilogues, by operation. What they update of the state, and what
  // is left.
  std::vector<EpilogueUpdate> epilogue_updates;
  std::vector<StateTile> epilogue_state_tiles, other_state_tiles;
  int64_t workspace_size = 0;  // floats
  // Without sharing of memory: what recycling saves, for people.
  int64_t workspace_size_unshared = 0;
};

// For a device of so many multiprocessors. InvalidArgument names a model that
// is too large for 32-bit sizes.
absl::StatusOr<Schedule> BuildSchedule(
    const grouped::Plan& plan, int multiprocessors,
    EpilogueUpdates choice = EpilogueUpdates::kWhereTheyPay);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_SCHEDULE_H_
