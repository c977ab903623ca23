// Three models, linear relu linear with noise for weights, and the gradients
// that a formula in double says they have: for the tests of a step's parts.
#ifndef TESTS_CONFORMANCE_GRADIENTS_FIXTURE_H_
#define TESTS_CONFORMANCE_GRADIENTS_FIXTURE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "modelbatch/backend/backend.h"
#include "modelbatch/tensor/tensor.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {

using Outcomes = std::vector<Outcome>;
using DoubleGradients = std::map<std::string, std::vector<double>>;

std::vector<double> Doubles(const Tensor& tensor);
// Slot "grad" times `factor`.
DoubleGradients Kept(Population& population, size_t m, double factor = 1);

// Needs linear, relu, mse and sgd, which every useful backend has.
class Gradients : public ConformanceTest {
 protected:
  static constexpr int64_t kRows = 8;
  static constexpr int64_t kMaxRows = 6;
  static constexpr int64_t kFeatures = 5;
  static constexpr int64_t kOutputs = 3;
  static constexpr int kModels = 3;

  void SetUp() override;

  Population Make(const std::string& optimizer);
  // With as much state as the plugin has.
  Population Make() { return Make(HasOptimizer("adam") ? "adam" : "sgd"); }

  // Noise, [rows of each model, kOutputs].
  static std::vector<Tensor> OutputGradients(uint64_t stream,
                                             const RowSet& rows);

  // Adds to `sum`, in double: dW2 = dY^T H, db2 = column sums of dY, dH = dY W2
  // where H > 0, dW0 = dH^T X, db0 = column sums of dH.
  void AddFormula(Population& population, size_t m, const RowSet& rows,
                  const Tensor& output_gradient, DoubleGradients* sum) const;

  // Slot "grad" is `expected`, and of each parameter there is some.
  static void ExpectGradients(Population& population, size_t m,
                              const DoubleGradients& expected);
  static void ExpectZeroGradients(Population& population, size_t m);
  void ExpectNoGradients(Population& population);
  static void ExpectUnchanged(Population& population,
                              const std::vector<Snapshot>& before,
                              const std::string& what);

  const Tensor features_ = NoiseTensor(1, {kRows, kFeatures});
  const Tensor targets_ = NoiseTensor(2, {kRows, kOutputs});
  const std::vector<int32_t> row_list_ = {0, 3, 1, 5};
  const RowSet rows_ = {row_list_, {}};
  std::unique_ptr<Dataset> data_;
  bool exact_ = false;
};

}  // namespace modelbatch::conformance

#endif  // TESTS_CONFORMANCE_GRADIENTS_FIXTURE_H_
