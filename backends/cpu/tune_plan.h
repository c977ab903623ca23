// Chooses how the products of a plan are cut up: from a table, or by measuring.
#ifndef BACKENDS_CPU_TUNE_PLAN_H_
#define BACKENDS_CPU_TUNE_PLAN_H_

#include <vector>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/model_step.h"
#include "backends/cpu/tuning_table.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/tune_report.h"

namespace modelbatch::cpu {

struct TunedPlan {
  std::vector<std::vector<LinearTilings>> tilings;  // by model and operation
  TuneReport report;
};

// Each distinct product once, those with the most work first; a model's choice
// depends on its own sizes and max_rows only. Reads options.cache into `table`
// and, when something was measured, writes it. On an error the table may know
// more, and nothing else has changed.
absl::StatusOr<TunedPlan> TunePlan(const grouped::Plan& plan,
                                   const Kernels& kernels,
                                   const TuneOptions& options,
                                   TuningTable* table);

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_TUNE_PLAN_H_
