// Small populations for the conformance tests: models, data, training, and the
// whole state as bytes.
#ifndef TESTS_CONFORMANCE_POPULATION_H_
#define TESTS_CONFORMANCE_POPULATION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::conformance {

// A value in [-1, 1) that is a function of its arguments only.
float Noise(uint64_t stream, uint64_t index);
Tensor NoiseTensor(uint64_t stream, Shape shape);
// `rows` labels in [0, classes).
Tensor Labels(uint64_t stream, int64_t rows, int64_t classes);

// A model's state: "slot/parameter" -> the tensor's bytes; "step" as well.
using Snapshot = std::map<std::string, std::vector<uint8_t>>;

// Models compiled into a session, with the optimizer's name.
class Population {
 public:
  // Throws when it does not compile.
  Population(Backend& backend, std::vector<ModelInstance> models,
             const std::string& loss, int64_t max_rows,
             const Attributes& loss_attributes = {});

  size_t size() const { return models_.size(); }
  Session& session() { return *session_; }
  const Layout& layout(size_t model) const { return layouts_[model]; }

  // Writes noise, a function of the model's id and the parameter's name.
  void WriteNoise();
  // Throws when refused.
  void SetOptimizer(const std::string& kind);
  // A value for each column that the optimizer needs, torch.optim's defaults
  // but for `values`.
  std::vector<Column> Columns(
      const std::map<std::string, double>& values = {}) const;

  // One step; throws when it fails.
  StepResult Step(const Dataset& dataset, const RowSet& rows,
                  const std::vector<Column>& columns,
                  absl::Span<const uint8_t> active = {},
                  bool keep_gradients = false, bool update = true);
  // The same; the status.
  absl::Status TryStep(const Dataset& dataset, const RowSet& rows,
                       const std::vector<Column>& columns);

  // The parts of a step; they throw when they fail.
  //
  // Adds the gradients of a batch to those kept.
  StepResult Accumulate(const Dataset& dataset, const RowSet& rows,
                        absl::Span<const uint8_t> active = {});
  std::vector<Outcome> Backward(const Dataset& dataset, const RowSet& rows,
                                const std::vector<Tensor>& output_gradients,
                                absl::Span<const uint8_t> active = {});
  std::vector<Outcome> Update(const std::vector<Column>& columns,
                              absl::Span<const uint8_t> active = {});
  std::vector<Tensor> Forward(const Dataset& dataset, const RowSet& rows,
                              bool training);

  Tensor Read(size_t model, const std::string& slot,
              const std::string& parameter);
  void Write(size_t model, const std::string& slot,
             const std::string& parameter, const Tensor& value);
  Snapshot Save(size_t model);
  std::vector<Snapshot> SaveAll();
  // The gradients kept, by parameter.
  std::map<std::string, std::vector<float>> Gradients(size_t model);

 private:
  std::vector<ModelInstance> models_;
  std::vector<Layout> layouts_;
  std::string optimizer_ = "none";
  std::unique_ptr<Session> session_;
};

// Adds a failure for every tensor that differs: in any bit if `exact`, else by
// more than 1e-5 of its norm.
void ExpectSameState(const Snapshot& got, const Snapshot& expected, bool exact,
                     const std::string& what);

}  // namespace modelbatch::conformance

#endif  // TESTS_CONFORMANCE_POPULATION_H_
