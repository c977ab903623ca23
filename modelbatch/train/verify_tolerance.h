// Shows that a model is the model it would have been alone, within rounding:
// for backends that do not promise equal bits.
//
//   MB_ASSIGN_OR_RETURN(auto batch,
//                       TrainFirstSteps(experiment, steps, backend));
//   MB_ASSIGN_OR_RETURN(VerifyReport report,
//                       VerifyWithinTolerance(experiment, 17, batch.get(),
//                                             backend));
//
// Rounding grows from step to step, so only the first ones are compared: the
// population is trained again for these, and the model by itself.
#ifndef MODELBATCH_TRAIN_VERIFY_TOLERANCE_H_
#define MODELBATCH_TRAIN_VERIFY_TOLERANCE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/train/verify.h"

namespace modelbatch {

// Most steps that are compared.
inline constexpr int64_t kToleranceSteps = 20;
// The norm of a parameter's difference over the parameter's norm: what every
// plugin without the feature bitwise_independence is held to
// (docs/plugin-abi.md).
inline constexpr double kParameterTolerance = 1e-5;
// The same for the optimizer's state, which holds gradients and their squares:
// as docs/libtorch.md has it.
inline constexpr double kStateTolerance = 1e-4;

// The population after `steps` steps, fewer when it is finished before.
// `experiment` and `backend` must outlive the trainer.
absl::StatusOr<std::unique_ptr<Trainer>> TrainFirstSteps(
    const Experiment& experiment, int64_t steps, Backend* backend);

// Trains model `id` alone for as many steps as `batch` has done, and compares
// parameters, the optimizer's state, the count of updates and whether and when
// it was frozen. The text names the tensor that differs most for what it is
// allowed. NotFound when there is no such model.
absl::StatusOr<VerifyReport> VerifyWithinTolerance(const Experiment& experiment,
                                                   int64_t id, Trainer* batch,
                                                   Backend* backend);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_VERIFY_TOLERANCE_H_
