// Whether a run may go on from a checkpoint.
#ifndef MODELBATCH_TRAIN_CHECK_RESUMES_H_
#define MODELBATCH_TRAIN_CHECK_RESUMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_options.h"

namespace modelbatch {

// What was different when the checkpoint was written; empty: nothing.
// FailedPrecondition: it belongs to another experiment, or there are
// differences and options.force is not set. InvalidArgument: it has done more
// epochs than there are to be.
absl::StatusOr<std::string> CheckResumes(const Checkpoint& checkpoint,
                                         const Experiment& experiment,
                                         const RunOptions& options);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_CHECK_RESUMES_H_
