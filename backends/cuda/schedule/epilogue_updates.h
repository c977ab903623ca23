// Which linear layers have their weights updated in the epilogue of their
// gradient's product, and who looks for factors that forbid it: docs/cuda.md,
// "Bytes of an update". It changes no bit of any model.
#ifndef BACKENDS_CUDA_SCHEDULE_EPILOGUE_UPDATES_H_
#define BACKENDS_CUDA_SCHEDULE_EPILOGUE_UPDATES_H_

#include <vector>

#include "backends/cuda/schedule/fusion.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cuda {

// All but the first are for tests; kSome: of every second linear layer.
enum class EpilogueUpdates { kWhereTheyPay, kNever, kSome, kAlways };

// Of an operation.
struct EpilogueUpdate {
  // A linear layer's weights are updated there, in steps that allow it. Its x
  // and dy are kept until the end of the backward pass.
  bool used = false;
  // Whether every element of them has gone through the epilogue of a product,
  // which looks at it; else a launch of its own does.
  bool x_seen = false, dy_seen = false;
  // Of a linear layer: whether its forward product, or its input gradient, is
  // that product.
  bool looks_at_y = false, looks_at_dx = false;
};

// By operation.
std::vector<EpilogueUpdate> PlanEpilogueUpdates(
    const grouped::Plan& plan, const std::vector<Fusion>& fusion,
    EpilogueUpdates choice);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_EPILOGUE_UPDATES_H_
