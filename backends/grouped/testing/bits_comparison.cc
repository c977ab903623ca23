#include "backends/grouped/testing/bits_comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/cpu/cpu_backend.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::grouped::testing {
namespace {

// A NaN equals a NaN; all else must agree in every bit.
template <typename T>
bool Same(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <typename T>
std::string Difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return "sizes";
  for (size_t i = 0; i < a.size(); ++i) {
    if (Same(a[i], b[i])) continue;
    if constexpr (std::is_enum_v<T>) {
      return absl::StrCat("entry ", i);
    } else {
      return absl::StrCat("entry ", i, " of ", a.size(), ": ", a[i], " and ",
                          b[i]);
    }
  }
  return "";
}

std::string Difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return "shapes";
  if (a.dtype() != DType::kFloat32) {
    return std::memcmp(a.raw(), b.raw(), a.byte_size()) == 0 ? "" : "bits";
  }
  const auto list = [](const Tensor& t) {
    return std::vector<float>(t.data<float>(), t.data<float>() + t.size());
  };
  return Difference(list(a), list(b));
}

}  // namespace

BitsComparison::BitsComparison(uint64_t seed, std::unique_ptr<Backend> other)
    : BitsComparison(seed, *cpu::CpuBackend::Create({{"threads", int64_t{1}}}),
                     std::move(other), "fp32") {}

BitsComparison::BitsComparison(uint64_t seed, std::unique_ptr<Backend> one,
                               std::unique_ptr<Backend> other,
                               const std::string& precision)
    : population_(seed), random_(seed + 1000000) {
  sides_[0].backend = std::move(one);
  sides_[1].backend = std::move(other);
  population_.request.options["precision"] = precision;
}

bool BitsComparison::Compile() {
  if (prefers_epilogue_updates_ && random_.OneIn(3)) MakeSomeFeaturesLarge();
  for (Side& side : sides_) {
    auto session = side.backend->Compile(population_.request);
    if (!session.ok()) {
      message_ += session.status().ToString();
      continue;
    }
    side.session = *std::move(session);
    auto dataset = side.backend->CreateDataset(population_.features.Clone(),
                                               population_.targets.Clone());
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    side.dataset = *std::move(dataset);
  }
  EXPECT_EQ(sides_[0].session == nullptr, sides_[1].session == nullptr)
      << message_;
  if (sides_[0].session == nullptr) return false;
  optimizer_ =
      random_.Pick(prefers_epilogue_updates_ && !random_.OneIn(8)
                       ? std::vector<std::string>{"sgd", "adam", "adamw"}
                       : OptimizerKinds());
  for (Side& side : sides_) {
    EXPECT_TRUE(side.session->SetOptimizer(optimizer_).ok());
  }
  for (size_t m = 0; m < population_.request.models.size(); ++m) {
    layouts_.push_back(*InferLayout(population_.request.models[m].spec));
    for (const Parameter& p : layouts_[m].parameters) {
      Tensor value = Tensor::Zeros(DType::kFloat32, p.shape);
      const float scale =
          1.0f /
          std::sqrt(static_cast<float>(p.shape.size() > 1 ? p.shape[1] : 4));
      for (int64_t e = 0; e < value.size(); ++e) {
        value.data<float>()[e] = scale * random_.Normal();
      }
      // A model that cannot be trained, now and then.
      if (random_.OneIn(40)) {
        value.data<float>()[0] = random_.Pick<float>(
            {std::numeric_limits<float>::quiet_NaN(),
             std::numeric_limits<float>::infinity(), 1e30f, -1e38f});
      } else if (prefers_epilogue_updates_ && random_.OneIn(12)) {
        // One whose operands are large and whose gradient is finite, perhaps.
        value.data<float>()[random_.Int(0, value.size() - 1)] =
            random_.Pick<float>({0x1p39f, 0x1p40f, -0x1p41f, 0x1p50f, -1e38f});
      }
      for (Side& side : sides_) {
        EXPECT_TRUE(side.session->WriteState(m, "param", p.name, value).ok());
      }
    }
  }
  if (random_.OneIn(2)) Tune();
  return true;
}

void BitsComparison::CallAnything() {
  switch (random_.Int(0, 10)) {
    case 0:
      return Evaluate();
    case 1:
      return Forward();
    case 2:
      return Backward();
    case 3:
      return Update();
    case 4:
      return Tune();
    case 5:
    case 6:
      return StepsInOneCall();
    default:
      return Steps();
  }
}

void BitsComparison::Compare() {
  std::vector<std::string> slots = {"param", "step"};
  for (const OptimizerState& state : (*FindOptimizer(optimizer_))->state) {
    slots.push_back(state.name);
  }
  slots.push_back("grad");
  for (size_t m = 0; m < layouts_.size(); ++m) {
    for (const std::string& slot : slots) {
      std::vector<std::string> names = {""};
      if (slot != "step" && slot != "mu_product") {
        names.clear();
        for (const Parameter& p : layouts_[m].parameters) {
          names.push_back(p.name);
        }
      }
      for (const std::string& name : names) {
        const auto a = sides_[0].session->ReadState(m, slot, name);
        const auto b = sides_[1].session->ReadState(m, slot, name);
        ASSERT_EQ(a.ok(), b.ok()) << a.status() << b.status();
        if (!a.ok()) continue;
        ASSERT_EQ(Difference(*a, *b), "")
            << "model " << m << ", " << slot << " " << name;
      }
    }
  }
}

std::string BitsComparison::ToString() const {
  std::string text =
      absl::StrCat(optimizer_, ", loss ", population_.request.loss.kind,
                   ", max_rows ", population_.request.max_rows, ", ",
                   population_.request.models.size(), " models:");
  for (const Operator& op : population_.request.models[0].spec.operators()) {
    absl::StrAppend(&text, " ", op.kind);
  }
  return absl::StrCat(text, "; calls: ", calls_);
}

void BitsComparison::MakeSomeFeaturesLarge() {
  Tensor& features = population_.features;
  for (int64_t i = random_.Int(1, 4); i > 0; --i) {
    features.data<float>()[random_.Int(0, features.size() - 1)] =
        random_.Pick<float>({0x1p39f, 0x1.fffffep39f, 0x1p40f, -0x1p40f, 3e38f,
                             -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN()});
  }
}

std::vector<Column> BitsComparison::AnyColumns() {
  std::vector<Column> columns = population_.AnyColumns(random_, optimizer_);
  if (!prefers_epilogue_updates_ || random_.OneIn(5)) return columns;
  const auto of_gradients = [](const Column& column) {
    return column.name == "gradient_scale" || column.name == "clip_value" ||
           column.name == "clip_norm";
  };
  columns.erase(std::remove_if(columns.begin(), columns.end(), of_gradients),
                columns.end());
  return columns;
}

absl::Span<const uint8_t> BitsComparison::AnyActive() {
  active_.clear();
  if (random_.OneIn(2)) {
    for (size_t m = 0; m < layouts_.size(); ++m) {
      active_.push_back(random_.OneIn(4) ? 0 : 1);
    }
  }
  return active_;
}

// One step or several of the same kind, which a tuned session runs as a graph.
void BitsComparison::Steps() {
  std::vector<Column> columns = AnyColumns();
  StepRequest request;
  request.columns = columns;
  request.update = !random_.OneIn(prefers_epilogue_updates_ ? 8 : 4);
  request.keep_gradients = random_.OneIn(prefers_epilogue_updates_ ? 8 : 3);
  request.accumulate =
      request.keep_gradients && !request.update && random_.OneIn(2);
  const int64_t steps = random_.OneIn(3) ? random_.Int(2, 4) : 1;
  for (int64_t step = 0; step < steps; ++step) {
    calls_ += " step";
    const auto rows = population_.AnyRows(random_, false);
    request.rows = rows.set();
    request.active = AnyActive();
    StepResult results[2];
    for (int s = 0; s < 2; ++s) {
      request.dataset = sides_[s].dataset.get();
      const absl::Status status =
          sides_[s].session->TrainStep(request, &results[s]);
      ASSERT_TRUE(status.ok()) << s << ": " << status;
    }
    ASSERT_EQ(Difference(results[0].outcomes, results[1].outcomes), "");
    ASSERT_EQ(Difference(results[0].losses, results[1].losses), "");
    for (const Outcome outcome : results[0].outcomes) {
      stepped_ += outcome == Outcome::kStepped;
    }
    for (Column& column : columns) {
      if (column.name != "lr") continue;
      for (double& lr : column.values) lr *= random_.Uniform(0.5, 1.5);
    }
  }
}

// The cpu makes them one by one. Calls of as many steps, once or more often: a
// tuned session runs the second as a graph.
void BitsComparison::StepsInOneCall() {
  const int64_t steps = random_.Int(1, 5);
  const std::vector<Column> one = population_.AnyColumns(random_, optimizer_);
  const int64_t calls = random_.Int(1, 3);
  // A first layer is wide where the rows of all steps are shared.
  const bool shared = random_.OneIn(2);
  for (int64_t call = 0; call < calls; ++call) {
    absl::StrAppend(&calls_, " ", steps, " steps");
    std::vector<Column> columns;
    for (const Column& column : one) columns.push_back({column.name, {}});
    std::vector<RandomPopulation::Rows> rows;
    for (int64_t step = 0; step < steps; ++step) {
      do {
        rows.resize(step + 1);
        rows[step] = population_.AnyRows(random_, false);
      } while (shared && !rows[step].offsets.empty());
      for (size_t c = 0; c < one.size(); ++c) {
        for (const double value : one[c].values) {
          columns[c].values.push_back(
              one[c].name == "lr" ? value * random_.Uniform(0.5, 1.5) : value);
        }
      }
    }
    std::vector<RowSet> sets;
    for (const auto& of_step : rows) sets.push_back(of_step.set());
    StepsRequest request;
    request.rows = sets;
    request.columns = columns;
    request.active = AnyActive();
    StepsResult results[2];
    for (int s = 0; s < 2; ++s) {
      request.dataset = sides_[s].dataset.get();
      const absl::Status status =
          sides_[s].session->TrainSteps(request, &results[s]);
      ASSERT_TRUE(status.ok()) << s << ": " << status;
    }
    ASSERT_EQ(results[0].made, results[1].made);
    ASSERT_EQ(Difference(results[0].outcomes, results[1].outcomes), "");
    ASSERT_EQ(Difference(results[0].losses, results[1].losses), "");
    for (const Outcome outcome : results[0].outcomes) {
      stepped_ += outcome == Outcome::kStepped;
    }
  }
}

// Changes no bit. The cpu has no need of it.
void BitsComparison::Tune() {
  calls_ += " tune";
  const auto report = sides_[1].session->Tune({});
  ASSERT_TRUE(report.ok()) << report.status();
}

void BitsComparison::Evaluate() {
  calls_ += " evaluate";
  const auto rows = population_.AnyRows(random_, true);
  EvaluateRequest request;
  request.rows = rows.set();
  request.active = AnyActive();
  EvaluateResult results[2];
  for (int s = 0; s < 2; ++s) {
    request.dataset = sides_[s].dataset.get();
    const absl::Status status =
        sides_[s].session->Evaluate(request, &results[s]);
    ASSERT_TRUE(status.ok()) << s << ": " << status;
  }
  ASSERT_EQ(Difference(results[0].losses, results[1].losses), "");
  ASSERT_EQ(Difference(results[0].correct, results[1].correct), "");
}

void BitsComparison::Forward() {
  calls_ += " forward";
  ForwardRequest request;
  request.training = random_.OneIn(2);
  const auto rows = population_.AnyRows(random_, !request.training);
  request.rows = rows.set();
  std::vector<Tensor> outputs[2];
  for (int s = 0; s < 2; ++s) {
    request.dataset = sides_[s].dataset.get();
    const absl::Status status =
        sides_[s].session->Forward(request, &outputs[s]);
    ASSERT_TRUE(status.ok()) << s << ": " << status;
  }
  for (size_t m = 0; m < layouts_.size(); ++m) {
    ASSERT_EQ(Difference(outputs[0][m], outputs[1][m]), "") << m;
  }
}

void BitsComparison::Backward() {
  calls_ += " backward";
  const auto rows = population_.AnyRows(random_, false);
  BackwardRequest request;
  request.rows = rows.set();
  request.active = AnyActive();
  std::vector<Tensor> gradients;
  for (size_t m = 0; m < layouts_.size(); ++m) {
    const auto count = static_cast<int64_t>(RowsOf(request.rows, m).size());
    gradients.push_back(
        Tensor::Zeros(DType::kFloat32, {count, population_.outputs}));
    for (int64_t e = 0; e < gradients[m].size(); ++e) {
      gradients[m].data<float>()[e] = random_.Normal();
    }
  }
  request.output_gradients = gradients;
  std::vector<Outcome> outcomes[2];
  for (int s = 0; s < 2; ++s) {
    request.dataset = sides_[s].dataset.get();
    const absl::Status status =
        sides_[s].session->Backward(request, &outcomes[s]);
    ASSERT_TRUE(status.ok()) << s << ": " << status;
  }
  ASSERT_EQ(Difference(outcomes[0], outcomes[1]), "");
}

void BitsComparison::Update() {
  calls_ += " update";
  const std::vector<Column> columns =
      population_.AnyColumns(random_, optimizer_);
  UpdateRequest request;
  request.columns = columns;
  request.active = AnyActive();
  std::vector<Outcome> outcomes[2];
  absl::Status status[2];
  for (int s = 0; s < 2; ++s) {
    status[s] = sides_[s].session->Update(request, &outcomes[s]);
  }
  ASSERT_EQ(status[0], status[1]);  // both lack gradients, or none does
  ASSERT_EQ(Difference(outcomes[0], outcomes[1]), "");
}

}  // namespace modelbatch::grouped::testing
