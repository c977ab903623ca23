#include "tests/conformance/population.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "gtest/gtest.h"
#include "modelbatch/optim/optimizer_info.h"
#include "tests/conformance/plugin_under_test.h"

namespace modelbatch::conformance {
namespace {

// SplitMix64.
uint64_t Mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// FNV-1a: the same on every machine, unlike std::hash.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  }
  return hash;
}

std::vector<uint8_t> Bytes(const Tensor& tensor) {
  const auto* const begin = static_cast<const uint8_t*>(tensor.raw());
  return std::vector<uint8_t>(begin, begin + tensor.byte_size());
}

std::vector<float> Floats(const std::vector<uint8_t>& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

double Norm(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - (b.empty() ? 0.0 : b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

}  // namespace

float Noise(uint64_t stream, uint64_t index) {
  const uint64_t bits = Mix(Mix(stream) ^ index);
  return static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f;
}

Tensor NoiseTensor(uint64_t stream, Shape shape) {
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  float* const values = tensor.data<float>();
  for (int64_t i = 0; i < tensor.size(); ++i) values[i] = Noise(stream, i);
  return tensor;
}

Tensor Labels(uint64_t stream, int64_t rows, int64_t classes) {
  Tensor tensor = Tensor::Zeros(DType::kInt64, {rows});
  for (int64_t i = 0; i < rows; ++i) {
    tensor.data<int64_t>()[i] =
        static_cast<int64_t>(Mix(Mix(stream) ^ i) % classes);
  }
  return tensor;
}

Population::Population(Backend& backend, std::vector<ModelInstance> models,
                       const std::string& loss, int64_t max_rows,
                       const Attributes& loss_attributes)
    : models_(std::move(models)) {
  for (const ModelInstance& model : models_) {
    layouts_.push_back(Get(InferLayout(model.spec)));
  }
  session_ =
      Get(backend.Compile({models_, {loss, loss_attributes}, max_rows, {}}));
}

void Population::WriteNoise() {
  for (size_t m = 0; m < size(); ++m) {
    for (const Parameter& p : layouts_[m].parameters) {
      const uint64_t stream = Hash(p.name) + 77 * models_[m].id;
      Write(m, "param", p.name, NoiseTensor(stream, p.shape));
    }
  }
}

void Population::SetOptimizer(const std::string& kind) {
  Check(session_->SetOptimizer(kind));
  optimizer_ = kind;
}

std::vector<Column> Population::Columns(
    const std::map<std::string, double>& values) const {
  std::vector<Column> columns;
  if (optimizer_ == "none") return columns;
  for (const HyperParameter& h :
       Get(FindOptimizer(optimizer_))->hyper_parameters) {
    const auto it = values.find(h.name);
    if (h.optional && it == values.end()) continue;
    const double value = it == values.end() ? h.default_value : it->second;
    columns.push_back({h.name, std::vector<double>(size(), value)});
  }
  return columns;
}

std::vector<Column> Population::VariedColumns(bool optional) const {
  const auto value = [this](const HyperParameter& h, int64_t id) -> double {
    const std::string& name = h.name;
    const double share = static_cast<double>(id % 4) / 4;
    if (name == "lr")
      return optimizer_ == "adadelta" ? 0.5 : 0.01 + 0.02 * share;
    if (name == "momentum") return id % 3 == 0 ? 0 : 0.3 * (id % 3);
    if (name == "nesterov") return id % 3 == 1;
    if (name == "dampening") return id % 3 == 2 ? 0.25 : 0;
    if (name == "beta1") return 0.4 + 0.5 * share;  // lerp from either end
    if (name == "beta2" || name == "alpha" || name == "rho")
      return 0.99 - share / 2;
    if (name == "eps") return 1e-4;
    if (name == "weight_decay") return id % 2 == 0 ? 0 : 0.05;
    if (name == "momentum_decay") return share / 50;
    if (name == "lr_decay") return share / 3;
    if (name == "initial_accumulator_value") return share / 2;
    if (h.flag) return (id + static_cast<int64_t>(name.size())) % 2;
    return h.default_value;
  };
  std::vector<Column> columns;
  for (const HyperParameter& h :
       Get(FindOptimizer(optimizer_))->hyper_parameters) {
    if (h.optional && !optional) continue;
    columns.push_back({h.name, {}});
    for (const ModelInstance& model : models_) {
      columns.back().values.push_back(value(h, model.id));
    }
  }
  return columns;
}

std::vector<Population::Slot> Population::Slots(size_t model) {
  std::vector<std::pair<std::string, Shape>> parameters;
  for (const Parameter& p : layouts_[model].parameters) {
    parameters.push_back({p.name, p.shape});
  }
  std::vector<Slot> slots = {{"param", parameters}};
  if (optimizer_ == "none") return slots;
  const OptimizerInfo* const info = Get(FindOptimizer(optimizer_));
  for (const OptimizerState& state : info->state) {
    const HyperParameter* const h = info->Find(state.needed_by);
    if (h != nullptr && h->optional &&
        !session_
             ->ReadState(static_cast<int>(model), state.name,
                         parameters[0].first)
             .ok()) {
      continue;
    }
    slots.push_back({state.name, parameters});
    if (state.per_model) slots.back().tensors = {{"", {}}};
  }
  return slots;
}

StepResult Population::Step(const Dataset& dataset, const RowSet& rows,
                            const std::vector<Column>& columns,
                            absl::Span<const uint8_t> active,
                            bool keep_gradients, bool update) {
  StepRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.columns = columns;
  request.active = active;
  request.keep_gradients = keep_gradients;
  request.update = update;
  StepResult result;
  Check(session_->TrainStep(request, &result));
  return result;
}

absl::Status Population::TryStep(const Dataset& dataset, const RowSet& rows,
                                 const std::vector<Column>& columns) {
  StepRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.columns = columns;
  StepResult result;
  return session_->TrainStep(request, &result);
}

absl::Status Population::TrySteps(const Dataset& dataset,
                                  const std::vector<RowSet>& rows,
                                  const std::vector<Column>& columns,
                                  StepsResult* result,
                                  absl::Span<const uint8_t> active) {
  StepsRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.columns = columns;
  request.active = active;
  return session_->TrainSteps(request, result);
}

StepResult Population::Accumulate(const Dataset& dataset, const RowSet& rows,
                                  absl::Span<const uint8_t> active) {
  StepRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.active = active;
  request.keep_gradients = true;
  request.update = false;
  request.accumulate = true;
  StepResult result;
  Check(session_->TrainStep(request, &result));
  return result;
}

std::vector<Outcome> Population::Backward(
    const Dataset& dataset, const RowSet& rows,
    const std::vector<Tensor>& output_gradients,
    absl::Span<const uint8_t> active) {
  std::vector<Outcome> outcomes;
  Check(session_->Backward({&dataset, rows, active, output_gradients},
                           &outcomes));
  return outcomes;
}

std::vector<Outcome> Population::Update(const std::vector<Column>& columns,
                                        absl::Span<const uint8_t> active) {
  std::vector<Outcome> outcomes;
  Check(session_->Update({columns, active}, &outcomes));
  return outcomes;
}

std::vector<Tensor> Population::Forward(const Dataset& dataset,
                                        const RowSet& rows, bool training) {
  std::vector<Tensor> outputs;
  Check(session_->Forward({&dataset, rows, training}, &outputs));
  return outputs;
}

Tensor Population::Read(size_t model, const std::string& slot,
                        const std::string& parameter) {
  return Get(session_->ReadState(static_cast<int>(model), slot, parameter));
}

void Population::Write(size_t model, const std::string& slot,
                       const std::string& parameter, const Tensor& value) {
  Check(session_->WriteState(static_cast<int>(model), slot, parameter, value));
}

Snapshot Population::Save(size_t model) {
  Snapshot result;
  for (const Slot& slot : Slots(model)) {
    for (const auto& [parameter, shape] : slot.tensors) {
      result[slot.name + "/" + parameter] =
          Bytes(Read(model, slot.name, parameter));
    }
  }
  result["step"] = Bytes(Read(model, "step", ""));
  return result;
}

void Population::Load(size_t model, const Snapshot& snapshot) {
  const auto tensor = [&](const std::string& name, DType dtype, Shape shape) {
    Tensor value = Tensor::Zeros(dtype, std::move(shape));
    const std::vector<uint8_t>& bytes = snapshot.at(name);
    if (!bytes.empty()) std::memcpy(value.raw(), bytes.data(), bytes.size());
    return value;
  };
  for (const Slot& slot : Slots(model)) {
    for (const auto& [parameter, shape] : slot.tensors) {
      Write(model, slot.name, parameter,
            tensor(slot.name + "/" + parameter, DType::kFloat32, shape));
    }
  }
  Write(model, "step", "", tensor("step", DType::kInt64, {}));
}

std::vector<Snapshot> Population::SaveAll() {
  std::vector<Snapshot> result;
  for (size_t m = 0; m < size(); ++m) result.push_back(Save(m));
  return result;
}

std::map<std::string, std::vector<float>> Population::Gradients(size_t model) {
  std::map<std::string, std::vector<float>> result;
  for (const Parameter& p : layouts_[model].parameters) {
    result[p.name] = Floats(Bytes(Read(model, "grad", p.name)));
  }
  return result;
}

std::vector<std::string> OptionalColumns(const std::string& optimizer) {
  std::vector<std::string> names;
  for (const HyperParameter& h :
       Get(FindOptimizer(optimizer))->hyper_parameters) {
    if (h.optional) names.push_back(h.name);
  }
  return names;
}

void ExpectSameState(const Snapshot& got, const Snapshot& expected, bool exact,
                     const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (const auto& [name, bytes] : expected) {
    const auto it = got.find(name);
    ASSERT_NE(it, got.end()) << what << ": " << name;
    if (exact || name == "step") {
      EXPECT_TRUE(it->second == bytes) << what << ": " << name << " differs";
    } else {
      const std::vector<float> a = Floats(it->second), b = Floats(bytes);
      ASSERT_EQ(a.size(), b.size()) << what << ": " << name;
      EXPECT_LE(Norm(a, b), 1e-5 * Norm(b, {})) << what << ": " << name;
    }
  }
}

}  // namespace modelbatch::conformance
