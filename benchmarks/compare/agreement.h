// Whether two contenders have trained the same run.
#ifndef BENCHMARKS_COMPARE_AGREEMENT_H_
#define BENCHMARKS_COMPARE_AGREEMENT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// The most that weights may differ after Workload::kSteps steps: of any tensor
// of any model, |a - b| / |b - initial| in the 2-norm. Rounding is far below; a
// learning rate wrong by one percent is above.
constexpr double kAgreement = 5e-3;

// The largest such difference. Weights are of all models, as
// Trainer::CopyWeights gives them; `expected` must have moved. NaN when there
// is a NaN.
double LargestDifference(const Workload& workload,
                         const std::vector<float>& weights,
                         const std::vector<float>& expected);

// InvalidArgument names the tensor of `expected` that has not moved.
absl::Status CheckMoved(const Workload& workload,
                        const std::vector<float>& expected);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_AGREEMENT_H_
