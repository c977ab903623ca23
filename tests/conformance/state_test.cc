// A model's state goes in and comes out bit for bit, and nothing else does.
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/optim/optimizer_info.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

class State : public ConformanceTest {
 protected:
  // Three models, two of them of other widths where the backend can.
  Population Make() {
    std::vector<ModelInstance> models;
    for (int64_t m = 0; m < 3; ++m) {
      ModelSpec spec({3});
      spec.Linear(HasFeature("mixed_widths") ? 4 + 3 * m : 4).Linear(2);
      models.push_back({100 + m, 1, spec});
    }
    return Population(backend(), models, Loss(), 4);
  }
  std::string Loss() const { return HasLoss("mse") ? "mse" : "cross_entropy"; }
  bool CanCompile() const {
    return HasOperator("linear") &&
           (HasLoss("mse") || HasLoss("cross_entropy"));
  }
};

std::vector<uint8_t> Bytes(const Tensor& tensor) {
  const auto* const begin = static_cast<const uint8_t*>(tensor.raw());
  return std::vector<uint8_t>(begin, begin + tensor.byte_size());
}

// Noise with the values that a careless copy changes.
Tensor Hard(uint64_t stream, const Shape& shape) {
  Tensor tensor = NoiseTensor(stream, shape);
  using Limits = std::numeric_limits<float>;
  const float hard[] = {-0.0f,
                        Limits::denorm_min(),
                        Limits::max(),
                        -Limits::infinity(),
                        Limits::lowest(),
                        Limits::quiet_NaN()};
  for (int64_t i = 0; i < tensor.size() && i < 6; ++i) {
    tensor.data<float>()[i] = hard[i];
  }
  return tensor;
}

TEST_F(State, ParametersStartAsZeros) {
  MB_REQUIRES(CanCompile());
  Population population = Make();
  for (size_t m = 0; m < population.size(); ++m) {
    for (const Parameter& p : population.layout(m).parameters) {
      const Tensor value = population.Read(m, "param", p.name);
      EXPECT_EQ(value.shape(), p.shape);
      EXPECT_EQ(Bytes(value), std::vector<uint8_t>(value.byte_size(), 0));
    }
    EXPECT_EQ(population.Read(m, "step", "").data<int64_t>()[0], 0);
  }
}

TEST_F(State, EveryTensorComesBackBitForBit) {
  MB_REQUIRES(CanCompile());
  for (const std::string& optimizer : KnownOptimizers()) {
    if (!HasOptimizer(optimizer)) continue;
    SCOPED_TRACE(optimizer);
    Population population = Make();
    population.SetOptimizer(optimizer);

    // All are written before any is read: none may lie over another.
    const auto value = [&](size_t m, size_t slot, size_t t,
                           const Shape& shape) {
      return Hard(1000 * m + 100 * slot + t, shape);
    };
    for (size_t m = 0; m < population.size(); ++m) {
      const auto slots = population.Slots(m);
      for (size_t s = 0; s < slots.size(); ++s) {
        for (size_t t = 0; t < slots[s].tensors.size(); ++t) {
          const auto& [parameter, shape] = slots[s].tensors[t];
          population.Write(m, slots[s].name, parameter, value(m, s, t, shape));
        }
      }
      population.Write(
          m, "step", "",
          Tensor::FromVector<int64_t>(
              {(int64_t{1} << 33) + 5 * static_cast<int64_t>(m)}, {}));
    }
    for (size_t m = 0; m < population.size(); ++m) {
      const auto slots = population.Slots(m);
      for (size_t s = 0; s < slots.size(); ++s) {
        for (size_t t = 0; t < slots[s].tensors.size(); ++t) {
          const auto& [parameter, shape] = slots[s].tensors[t];
          EXPECT_EQ(Bytes(population.Read(m, slots[s].name, parameter)),
                    Bytes(value(m, s, t, shape)))
              << "model " << m << ", " << slots[s].name << " of " << parameter;
        }
      }
      EXPECT_EQ(population.Read(m, "step", "").data<int64_t>()[0],
                (int64_t{1} << 33) + 5 * static_cast<int64_t>(m));
    }
  }
}

// What session_describe lists is the whole state, as it can be read. (That the
// parameters are those of the layout is looked at when a session is compiled.)
TEST_F(State, IsWhatIsDescribed) {
  MB_REQUIRES(CanCompile());
  std::vector<std::string> optimizers = {"none"};
  for (const std::string& optimizer : KnownOptimizers()) {
    if (HasOptimizer(optimizer)) optimizers.push_back(optimizer);
  }
  for (const std::string& optimizer : optimizers) {
    SCOPED_TRACE(optimizer);
    Population population = Make();
    population.SetOptimizer(optimizer);
    for (size_t m = 0; m < population.size(); ++m) {
      const auto description =
          population.session().Describe(static_cast<int>(m));
      if (absl::IsUnimplemented(description.status())) {
        GTEST_SKIP() << "the plugin does not describe its sessions";
      }
      ASSERT_TRUE(description.ok()) << description.status();
      EXPECT_EQ(description->output, population.layout(m).output());
      size_t parameters = 0, steps = 0;
      std::vector<std::string> slots;
      for (const StateTensor& state : description->states) {
        parameters += state.slot == "param";
        steps += state.slot == "step";
        slots.push_back(state.slot);
        const Tensor value = population.Read(m, state.slot, state.parameter);
        EXPECT_EQ(value.dtype(), state.dtype);
        EXPECT_EQ(value.shape(), state.shape);
        population.Write(m, state.slot, state.parameter, value);
      }
      EXPECT_EQ(parameters, population.layout(m).parameters.size());
      EXPECT_EQ(steps, 1u);
      if (optimizer == "none") continue;
      for (const OptimizerState& state : Get(FindOptimizer(optimizer))->state) {
        EXPECT_TRUE(Contains(slots, state.name)) << state.name;
      }
    }
  }
}

TEST_F(State, SetOptimizerZeroesItsStateAndTheCounters) {
  MB_REQUIRES(CanCompile());
  for (const std::string& optimizer : KnownOptimizers()) {
    if (!HasOptimizer(optimizer)) continue;
    SCOPED_TRACE(optimizer);
    Population population = Make();
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    const std::vector<Snapshot> fresh = population.SaveAll();
    for (const auto& slot : population.Slots(1)) {
      if (slot.name == "param") continue;
      for (const auto& [parameter, shape] : slot.tensors) {
        EXPECT_EQ(Bytes(population.Read(1, slot.name, parameter)),
                  Bytes(Tensor::Zeros(DType::kFloat32, shape)));
        population.Write(1, slot.name, parameter, NoiseTensor(1, shape));
      }
    }
    population.Write(1, "step", "", Tensor::FromVector<int64_t>({9}, {}));
    EXPECT_NE(population.Save(1), fresh[1]);
    const auto slots = population.Slots(1);
    population.SetOptimizer(optimizer);
    for (size_t m = 0; m < population.size(); ++m) {
      ExpectSameState(population.Save(m), fresh[m], true, "after SetOptimizer");
    }
    ASSERT_TRUE(population.session().SetOptimizer("none").ok());
    for (const auto& slot : slots) {
      const std::string& parameter = slot.tensors[0].first;
      EXPECT_EQ(population.session().ReadState(1, slot.name, parameter).ok(),
                slot.name == "param");
    }
  }
}

TEST_F(State, WhatDoesNotFitIsRefusedAndChangesNothing) {
  MB_REQUIRES(CanCompile() && HasOptimizer("adam"));
  Population population = Make();
  population.WriteNoise();
  population.SetOptimizer("adam");
  const std::vector<Snapshot> before = population.SaveAll();

  struct Case {
    const char* what;
    int model;
    const char* slot;
    const char* parameter;
    Tensor value;
  };
  const auto floats = [](Shape shape) {
    return NoiseTensor(3, std::move(shape));
  };
  const int64_t width = population.layout(0).parameters[0].shape[0];
  std::vector<Case> cases;
  cases.push_back({"transposed", 0, "param", "0.weight", floats({3, width})});
  cases.push_back({"flat", 0, "param", "0.weight", floats({3 * width})});
  cases.push_back({"too long", 0, "param", "0.bias", floats({width + 1})});
  cases.push_back({"too short", 0, "exp_avg", "0.bias", floats({width - 1})});
  cases.push_back({"scalar", 0, "param", "0.bias", floats({})});
  cases.push_back({"another dtype", 0, "param", "0.bias",
                   Tensor::Zeros(DType::kFloat64, {width})});
  cases.push_back({"another dtype of the same size", 0, "param", "0.bias",
                   Tensor::Zeros(DType::kInt32, {width})});
  cases.push_back(
      {"unknown parameter", 0, "param", "0.scale", floats({width})});
  cases.push_back({"no parameter", 0, "param", "", floats({width})});
  cases.push_back(
      {"unknown slot", 0, "no_such_slot", "0.bias", floats({width})});
  cases.push_back({"slot of another optimizer", 0, "momentum_buffer", "0.bias",
                   floats({width})});
  cases.push_back({"gradient", 0, "grad", "0.bias", floats({width})});
  cases.push_back({"count as float", 0, "step", "", floats({})});
  cases.push_back(
      {"count as vector", 0, "step", "", Tensor::Zeros(DType::kInt64, {1})});
  cases.push_back(
      {"negative count", 0, "step", "", Tensor::FromVector<int64_t>({-1}, {})});
  cases.push_back(
      {"model beyond the last", 3, "param", "0.bias", floats({width})});
  for (const Case& c : cases) {
    const absl::Status status =
        population.session().WriteState(c.model, c.slot, c.parameter, c.value);
    EXPECT_FALSE(status.ok()) << c.what;
    EXPECT_FALSE(absl::IsInternal(status)) << c.what << ": " << status;
    EXPECT_FALSE(status.message().empty()) << c.what;
  }
  for (size_t m = 0; m < population.size(); ++m) {
    ExpectSameState(population.Save(m), before[m], true, "after the refusals");
  }
}

TEST_F(State, ThereAreNoGradientsBeforeAStep) {
  MB_REQUIRES(CanCompile());
  Population population = Make();
  const auto gradient = population.session().ReadState(0, "grad", "0.bias");
  EXPECT_FALSE(gradient.ok());
  EXPECT_FALSE(absl::IsInternal(gradient.status())) << gradient.status();
}

}  // namespace
}  // namespace modelbatch::conformance
