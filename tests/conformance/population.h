// Small populations for the conformance tests: models, data, training, and the
// whole state as bytes.
#ifndef TESTS_CONFORMANCE_POPULATION_H_
#define TESTS_CONFORMANCE_POPULATION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
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

// A model's state: "slot/parameter" -> the tensor's bytes; also "step", and the
// slots that hold one number a model.
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
  // but for `values`. Columns that it may do without come only with a value.
  std::vector<Column> Columns(
      const std::map<std::string, double>& values = {}) const;
  // Values that differ between models, functions of their ids; flags too. Those
  // that it may do without if `optional`.
  std::vector<Column> VariedColumns(bool optional) const;

  // A slot and what it holds: by parameter, or (one number a model) by "".
  struct Slot {
    std::string name;
    std::vector<std::pair<std::string, Shape>> tensors;
  };
  // "param" and the optimizer's states. A state that only a column needs which
  // the plugin need not take is there if the plugin has it.
  std::vector<Slot> Slots(size_t model);

  // One step; throws when it fails.
  StepResult Step(const Dataset& dataset, const RowSet& rows,
                  const std::vector<Column>& columns,
                  absl::Span<const uint8_t> active = {},
                  bool keep_gradients = false, bool update = true);
  // The same; the status.
  absl::Status TryStep(const Dataset& dataset, const RowSet& rows,
                       const std::vector<Column>& columns);

  // Several in one call; the status.
  absl::Status TrySteps(const Dataset& dataset, const std::vector<RowSet>& rows,
                        const std::vector<Column>& columns, StepsResult* result,
                        absl::Span<const uint8_t> active = {});

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
  // Writes what Save gave.
  void Load(size_t model, const Snapshot& snapshot);
  std::vector<Snapshot> SaveAll();
  // The gradients kept, by parameter.
  std::map<std::string, std::vector<float>> Gradients(size_t model);

 private:
  std::vector<ModelInstance> models_;
  std::vector<Layout> layouts_;
  std::string optimizer_ = "none";
  std::unique_ptr<Session> session_;
};

// The hyper-parameters that a plugin need not take.
std::vector<std::string> OptionalColumns(const std::string& optimizer);

// Adds a failure for every tensor that differs: in any bit if `exact`, else by
// more than 1e-5 of its norm.
void ExpectSameState(const Snapshot& got, const Snapshot& expected, bool exact,
                     const std::string& what);

}  // namespace modelbatch::conformance

#endif  // TESTS_CONFORMANCE_POPULATION_H_
