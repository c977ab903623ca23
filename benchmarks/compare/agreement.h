// Whether two contenders have trained the same run.
#ifndef BENCHMARKS_COMPARE_AGREEMENT_H_
#define BENCHMARKS_COMPARE_AGREEMENT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// How far weights of one model, or of several, are from those that were
// expected, as parts of the way that the expected ones have come from the
// initial values. The largest over the tensors; NaN when there is a NaN.
struct Difference {
  // The median over a tensor's elements. Whatever is wrong with all of a
  // tensor, as a learning rate, shows here.
  double median = 0;
  // In the 2-norm. One hidden unit that is a hair above zero with one library
  // and a hair below with another makes a step of its own in one of them: some
  // thousandths, which no two orders of summation avoid.
  double norm = 0;
};

// Such a step may grow: of mlp_deep, PyTorch in float and in double differ by a
// tenth after 20 steps, in the models with the largest learning rates. So
// contenders are compared twice: all their models after two steps, and after a
// whole run (Workload::kSteps) the model in the middle.
constexpr int kFewSteps = 2;
struct Agreement {
  Difference after_few;  // the largest of all models
  Difference after_all;  // half of the models differ by no more
};

// The most that is allowed of either. Rounding leaves the median far below; a
// learning rate wrong by 0.2 % is above.
constexpr Difference kAllowed = {1e-3, 5e-2};
bool Agrees(const Difference& difference);

// Of each model. Weights are of all models, as Trainer::CopyWeights gives them;
// `expected` must have moved.
std::vector<Difference> Differences(const Workload& workload,
                                    const std::vector<float>& weights,
                                    const std::vector<float>& expected);
// There must be one.
Difference Largest(const std::vector<Difference>& differences);
Difference Middle(const std::vector<Difference>& differences);

// InvalidArgument names the tensor of `expected` that has not moved.
absl::Status CheckMoved(const Workload& workload,
                        const std::vector<float>& expected);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_AGREEMENT_H_
