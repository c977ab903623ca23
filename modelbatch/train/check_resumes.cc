#include "modelbatch/train/check_resumes.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::StatusOr<std::string> CheckResumes(const Checkpoint& checkpoint,
                                         const Experiment& experiment,
                                         const RunOptions& options) {
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  const std::string differences =
      absl::StrJoin(Differences(checkpoint.info, options.info), "; ");
  if (!differences.empty() && !options.force) {
    return absl::FailedPreconditionError(
        absl::StrCat("the run would not end with the same bits: ", differences,
                     "; --force resumes nevertheless"));
  }
  if (experiment.config.train.epochs < checkpoint.state.epoch) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train.epochs is ", experiment.config.train.epochs,
        ", the run has done ", checkpoint.state.epoch, " already"));
  }
  return differences;
}

}  // namespace modelbatch
