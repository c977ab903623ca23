// Which models `plot` and `report` let stand out, as the command line has it.
#ifndef MODELBATCH_CLI_SHOWN_MODELS_H_
#define MODELBATCH_CLI_SHOWN_MODELS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

// Those with these ids alone, or without any the `top` best among all. Errors
// name --model.
absl::StatusOr<ModelChoice> ShownModels(const RunRecord& run,
                                        const std::vector<std::string>& ids,
                                        int64_t top);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_SHOWN_MODELS_H_
