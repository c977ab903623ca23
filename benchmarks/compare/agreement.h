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
  double median = 0;  // over a tensor's elements
  double norm = 0;    // 2-norm
};

// A relu that is a hair above zero with one library and a hair below with
// another changes the sign of a unit's first Adam step, and then everything: of
// mlp_deep, a quarter of the models differ by a thousandth and some by a tenth
// after 20 steps, between PyTorch in float and in double too. No order of
// summation avoids it. What is wrong, on the other hand, is wrong from the
// first step on, and in most elements and models. So contenders must agree
// twice:
//
// - after one step every model, in the median;
// - after a run the model in the middle, in the median and the norm: a run of
//   20 steps, or where a relu is in the way one of 10 or 5.
constexpr int kRuns[] = {Workload::kSteps, 10, 5};
struct Agreement {
  Difference after_one;  // the largest of all models
  int steps = 0;         // of the run
  Difference after_run;  // half of the models differ by no more
};

// What a precision allows after one step and after a run.
//
// The first step of Adam moves each weight by its rate times the sign of its
// gradient, in every precision: rounding leaves the median far below 2e-4 (JAX,
// whose powers of beta are floats, differs by 1e-5), a learning rate wrong by
// 0.03 % is above.
//
// In a run rounding shows. With fp32 sums differ in their last bits, and the
// median stays below 2e-4 as well. With tf32 and bf16 gradients differ by some
// units of the operands' rounding, 2^-11 and 2^-8 (torch and JAX round results
// and activations to bf16 besides), and weights by as many parts of their way:
// five units are allowed. Those of 3 models differed by 0.4 to 1.5 in bf16.
struct Allowed {
  double after_one = 0;  // in the median
  Difference after_run;
};

// Of "fp32", "tf32" or "bf16".
Allowed AllowedIn(const std::string& precision);

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
