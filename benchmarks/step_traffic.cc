#include "benchmarks/step_traffic.h"

#include "backends/cuda/schedule/schedule.h"
#include "backends/grouped/plan.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// Decides which tiles there are, whose bytes are next to nothing.
constexpr int kMultiprocessors = 132;

}  // namespace

absl::StatusOr<cuda::Traffic> StepTraffic(const Workload& workload,
                                          const std::string& precision) {
  CompileRequest request;
  for (int i = 0; i < workload.models(); ++i) {
    request.models.push_back({i, workload.seeds[i], workload.specs[i]});
  }
  request.loss = {"cross_entropy", {}};
  request.max_rows = workload.max_rows;
  request.options["precision"] = precision;
  MB_ASSIGN_OR_RETURN(const grouped::Plan plan,
                      grouped::BuildPlan(request, {"fp32", "tf32", "bf16"}));
  MB_ASSIGN_OR_RETURN(const cuda::Schedule schedule,
                      cuda::BuildSchedule(plan, kMultiprocessors));
  return cuda::CountTraffic(plan, schedule, workload.batches[0].view(),
                            cuda::kAdamTraffic);
}

}  // namespace modelbatch::benchmarks
