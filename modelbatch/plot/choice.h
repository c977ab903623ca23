// Which models a chart is of, and which of them stand out.
#ifndef MODELBATCH_PLOT_CHOICE_H_
#define MODELBATCH_PLOT_CHOICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

struct ModelChoice {
  // Ids of the models that stand out, in the order of their colours.
  std::vector<int64_t> highlighted;
  bool others = true;  // the other models are shown too
};

// The `top` best models among all.
ModelChoice BestModels(const RunRecord& run, int64_t top);

// These models alone. InvalidArgument names one that the run does not have, or
// that is there twice.
absl::StatusOr<ModelChoice> TheseModels(const RunRecord& run,
                                        const std::vector<int64_t>& ids);

// "model 17 (lr 0.001, out_features 64), rank 3"; with "frozen at step 8: ..."
// where it was. `index` is that in `run.results`.
std::string DescribeModel(const RunRecord& run, int index);

// What scores rank the models: `selected_by`, or the first score that any model
// has. Empty where none has any.
std::string RankingMetric(const RunRecord& run);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_CHOICE_H_
