// The promises of a schedule: memory is shared only by what is never in use at
// the same time, a model's part is a function of its own shape, and what is
// fused is what can be.
#include "backends/cuda/schedule/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "backends/grouped/testing/random_population.h"

namespace modelbatch::cuda {
namespace {

using ::testing::HasSubstr;

grouped::Plan PlanOf(std::vector<ModelSpec> specs, int64_t max_rows = 17) {
  CompileRequest request;
  for (ModelSpec& spec : specs) {
    const auto id = static_cast<int64_t>(request.models.size());
    request.models.push_back({id, 5, std::move(spec)});
  }
  request.loss = {"mse", {}};
  request.max_rows = max_rows;
  return *grouped::BuildPlan(request);
}

// Simulates a step: who owns each float of the workspace at each point of the
// time line. What was written must still be there when it is read.
class Simulation {
 public:
  Simulation(const grouped::Plan& plan, const Schedule& schedule, int model)
      : plan_(plan), schedule_(schedule), layout_(schedule.layouts[model]) {
    owner_.assign(schedule.workspace_size, -1);
  }

  std::string Run() {
    const auto& ops = plan_.ops;
    const int n = static_cast<int>(ops.size());
    for (int i = 0; i < n; ++i) {
      const Fusion& fusion = schedule_.fusion[i];
      if (fusion.forward_done) continue;
      for (int j = 0; j < ops[i].num_inputs; ++j) ReadValue(ops[i].inputs[j]);
      if (ops[i].code == grouped::OpCode::kFlatten) continue;
      WriteValue(ops[i].output);
      if (fusion.forward_activation >= 0) {
        WriteValue(ops[fusion.forward_activation].output);
      }
      if (layout_.stats[i] >= 0)
        Write(layout_.stats[i], 2 * plan_.max_rows, 1000 + i);
    }
    ReadValue(plan_.output());
    WriteGradient(plan_.output());
    for (int i = n - 1; i >= 0; --i) {
      const grouped::GroupedOp& op = ops[i];
      const Fusion& fusion = schedule_.fusion[i];
      if (fusion.backward_done) continue;
      if (op.weight < 0 && !op.wants_gradient[0] && !op.wants_gradient[1]) {
        continue;
      }
      ReadGradient(op.output);
      ReadForBackward(op);
      if (layout_.stats[i] >= 0)
        Read(layout_.stats[i], 2 * plan_.max_rows, 1000 + i, "stats");
      for (int j = 0; j < op.num_inputs; ++j) {
        if (!op.wants_gradient[j] || op.in_place) continue;
        if (fusion.backward_activation >= 0) {
          const grouped::GroupedOp& before = ops[fusion.backward_activation];
          ReadForBackward(before);
          if (before.accumulates[0]) ReadGradient(before.inputs[0]);
          WriteGradient(before.inputs[0]);
          continue;
        }
        if (op.accumulates[j]) ReadGradient(op.inputs[j]);
        WriteGradient(op.inputs[j]);
      }
    }
    for (int i = 0; i < n; ++i) {
      if (!schedule_.epilogue_updates[i].used) continue;
      ReadValue(ops[i].inputs[0]);
      ReadGradient(ops[i].output);
    }
    return error_;
  }

 private:
  void ReadForBackward(const grouped::GroupedOp& op) {
    using grouped::OpCode;
    switch (op.code) {
      case OpCode::kLinear:
      case OpCode::kGelu:
      case OpCode::kGeluTanh:
      case OpCode::kLayerNorm:
        return ReadValue(op.inputs[0]);
      case OpCode::kRelu:
      case OpCode::kTanh:
      case OpCode::kSigmoid:
        return ReadValue(op.output);
      default:
        return;
    }
  }
  // Values that share a buffer on purpose are one: the first of them.
  int Root(int value) const {
    while (value > 0) {
      const grouped::GroupedOp& op = plan_.ops[value - 1];
      if (!op.in_place && op.code != grouped::OpCode::kFlatten) break;
      value = op.inputs[0];
    }
    return value;
  }
  int GradientRoot(int value) const {
    while (value > 0 && plan_.ops[value - 1].in_place &&
           plan_.ops[value - 1].inputs[0] > 0) {
      value = plan_.ops[value - 1].inputs[0];
    }
    return value;
  }
  void ReadValue(int v) {
    if (schedule_.input[v]) return;
    ReadMatrix(layout_.values[v], Root(v), "value");
  }
  void WriteValue(int v) { WriteMatrix(layout_.values[v], Root(v)); }
  void ReadGradient(int v) {
    ReadMatrix(layout_.gradients[v], 100 + GradientRoot(v), "gradient");
  }
  void WriteGradient(int v) {
    WriteMatrix(layout_.gradients[v], 100 + GradientRoot(v));
  }
  void ReadMatrix(const MatrixPlace& m, int tag, const char* what) {
    if (m.cols == 0) error_ += std::string("no place for a ") + what + "; ";
    Read(m.offset, (plan_.max_rows - 1) * m.ld + m.cols, tag, what);
  }
  void WriteMatrix(const MatrixPlace& m, int tag) {
    if (m.cols == 0) error_ += "no place to write; ";
    Write(m.offset, (plan_.max_rows - 1) * m.ld + m.cols, tag);
  }
  void Read(int64_t offset, int64_t size, int tag, const char* what) {
    for (int64_t e = offset; e < offset + size; ++e) {
      if (owner_.at(e) == tag) continue;
      error_ += std::string(what) + " " + std::to_string(tag) +
                " is gone: there is " + std::to_string(owner_[e]) + "; ";
      return;
    }
  }
  void Write(int64_t offset, int64_t size, int tag) {
    for (int64_t e = offset; e < offset + size; ++e) owner_.at(e) = tag;
  }

  const grouped::Plan& plan_;
  const Schedule& schedule_;
  const ModelLayout& layout_;
  std::vector<int> owner_;
  std::string error_;
};

TEST(BuildSchedule, WhatIsReadIsStillThere) {
  int shared = 0;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    const grouped::testing::RandomPopulation population(seed);
    const auto plan = grouped::BuildPlan(population.request);
    if (!plan.ok()) continue;
    const auto schedule = BuildSchedule(
        *plan, 1,
        seed % 2 == 0 ? EpilogueUpdates::kNever : EpilogueUpdates::kAlways);
    ASSERT_TRUE(schedule.ok()) << schedule.status();
    int64_t end = 0;
    for (size_t m = 0; m < plan->models.size(); ++m) {
      const ModelLayout& layout = schedule->layouts[m];
      ASSERT_EQ(Simulation(*plan, *schedule, static_cast<int>(m)).Run(), "")
          << "seed " << seed << ", model " << m << "\n"
          << plan->ToString();
      // Models have parts of their own, one behind the other.
      for (const auto* places : {&layout.values, &layout.gradients}) {
        for (size_t v = 0; v < places->size(); ++v) {
          const MatrixPlace& place = (*places)[v];
          if (place.cols == 0 ||
              (places == &layout.values && schedule->input[v])) {
            continue;
          }
          ASSERT_GE(place.offset, end);
          ASSERT_LE(place.offset + plan->max_rows * place.ld, layout.end);
          ASSERT_EQ(place.offset % kBufferAlign, 0);
          ASSERT_EQ(place.ld % kRowAlign, 0);
        }
      }
      end = layout.end;
    }
    ASSERT_EQ(end, schedule->workspace_size);
    ASSERT_LE(schedule->workspace_size, schedule->workspace_size_unshared);
    shared += schedule->workspace_size < schedule->workspace_size_unshared;
  }
  EXPECT_GT(shared, 200);
}

TEST(BuildSchedule, AModelsPartIsAFunctionOfItsOwnShape) {
  const auto spec = [](int64_t width) {
    return ModelSpec({9}).Linear(width).Gelu().LayerNorm().Linear(4);
  };
  const auto alone = BuildSchedule(PlanOf({spec(7)}), 1);
  const auto among = BuildSchedule(PlanOf({spec(100), spec(7), spec(1)}), 1);
  ASSERT_TRUE(alone.ok() && among.ok());
  const int64_t begin = among->layouts[0].end;
  for (size_t v = 0; v < alone->layouts[0].values.size(); ++v) {
    const MatrixPlace& a = alone->layouts[0].values[v];
    const MatrixPlace& b = among->layouts[1].values[v];
    EXPECT_EQ(a.ld, b.ld);
    if (v > 0) {
      EXPECT_EQ(a.offset, b.offset - begin);
    }
  }
}

TEST(BuildSchedule, DeepNetworksShareTheGradientsMemory) {
  ModelSpec spec({8});
  for (int l = 0; l < 10; ++l) spec.Linear(64).Gelu();
  spec.Linear(3);
  const auto schedule = BuildSchedule(PlanOf({spec}), 1);
  ASSERT_TRUE(schedule.ok());
  // 20 values must be kept for the backward pass. Of the ten gradients that the
  // products leave, two live at a time, where values were.
  EXPECT_LE(schedule->workspace_size,
            schedule->workspace_size_unshared - 8 * 17 * 64);
}

TEST(Fuse, ActivationsGoIntoTheProductsAroundThem) {
  const grouped::Plan plan =
      PlanOf({ModelSpec({8}).Linear(6).Gelu().Linear(5).Tanh().Linear(4)});
  const std::vector<Fusion> fusion = Fuse(plan);
  EXPECT_EQ(fusion[0].forward_activation, 1);
  EXPECT_EQ(fusion[2].forward_activation, 3);
  EXPECT_EQ(fusion[2].backward_activation, 1);
  EXPECT_EQ(fusion[4].backward_activation, 3);
  EXPECT_TRUE(fusion[1].forward_done && fusion[1].backward_done);
  EXPECT_TRUE(fusion[3].forward_done && fusion[3].backward_done);
  // gelu's derivative reads its input, which is kept; tanh's its output.
  const auto schedule = BuildSchedule(plan, 1);
  ASSERT_TRUE(schedule.ok());
  EXPECT_GE(schedule->linear[0].forward.problems[0].saved, 0);
  EXPECT_EQ(schedule->linear[2].forward.problems[0].saved, -1);
  EXPECT_EQ(schedule->linear[2].input_gradient.problems[0].saved,
            schedule->layouts[0].values[1].offset);
  EXPECT_EQ(schedule->linear[4].input_gradient.problems[0].saved,
            schedule->layouts[0].values[4].offset);
  EXPECT_TRUE(schedule->linear[0].input_gradient.lists.empty());
}

// Whether the layers of `width` are, in so many models of 64 inputs.
std::vector<bool> UpdatedInEpilogues(int64_t width, int64_t models,
                                     int64_t max_rows) {
  const ModelSpec spec =
      ModelSpec({width}).Linear(width).Relu().Linear(width).Relu().Linear(4);
  const auto schedule =
      BuildSchedule(PlanOf(std::vector<ModelSpec>(models, spec), max_rows), 1);
  std::vector<bool> used;
  for (const int op : {0, 2, 4}) {
    used.push_back(schedule->epilogue_updates[op].used);
  }
  return used;
}

// By the bytes of docs/cuda.md: a layer of in x out saves 8 in out of them and
// costs 4 rows (in + out), x and dy being seen where they are made; else once
// more, and a launch.
TEST(EpilogueUpdates, AreForLayersWiderThanAStepHasRows) {
  const std::vector<bool> none = {false, false, false};
  // The second layer from a width of about the rows on, the first, whose x is
  // the dataset's, from 1.5 times that. The last is as narrow as its outputs.
  EXPECT_EQ(UpdatedInEpilogues(256, 200, 256), none);
  EXPECT_EQ(UpdatedInEpilogues(256, 200, 240),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(UpdatedInEpilogues(256, 200, 180),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(UpdatedInEpilogues(256, 200, 160),
            (std::vector<bool>{true, true, false}));
  // What one model saves is less than a launch costs.
  EXPECT_EQ(UpdatedInEpilogues(256, 1, 32), none);
  EXPECT_EQ(UpdatedInEpilogues(256, 12, 64),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(UpdatedInEpilogues(64, 1000, 64), none);
}

TEST(EpilogueUpdates, KnowWhoSeesTheOperands) {
  const auto updates_of = [](const ModelSpec& spec) {
    return BuildSchedule(PlanOf({spec}), 1, EpilogueUpdates::kAlways)
        ->epilogue_updates;
  };
  // dataset -> 0 -> relu -> 2 -> 3 -> dropout -> 5 -> loss
  const auto updates = updates_of(
      ModelSpec({8}).Linear(6).Relu().Linear(7).Linear(5).Dropout(0.5).Linear(
          4));
  EXPECT_FALSE(updates[0].x_seen);  // the dataset's
  EXPECT_TRUE(updates[0].looks_at_y && updates[2].x_seen);
  EXPECT_TRUE(updates[2].looks_at_y && updates[3].x_seen);
  EXPECT_FALSE(updates[3].looks_at_y || updates[5].x_seen);  // dropout's
  EXPECT_TRUE(updates[2].looks_at_dx && updates[0].dy_seen);
  EXPECT_TRUE(updates[3].looks_at_dx && updates[2].dy_seen);
  EXPECT_FALSE(updates[5].looks_at_dx || updates[3].dy_seen);  // dropout's
  EXPECT_FALSE(updates[5].dy_seen);                            // the loss's
  // A sum of two gradients is nobody's; nor is what lies before an activation
  // the epilogue's last.
  const auto residual =
      updates_of(ModelSpec({8}).Linear(8).Linear(8).Add(0).Linear(2));
  EXPECT_FALSE(residual[1].looks_at_dx || residual[0].dy_seen);
  ModelSpec fork = ModelSpec({8}).Linear(8).Gelu();
  const int other =
      fork.AddOperator({"", "linear", {0}, {{"out_features", int64_t{8}}}});
  fork.AddOperator({"", "add", {1, other}, {}});
  const auto forked = updates_of(fork);
  EXPECT_FALSE(forked[other].looks_at_dx || forked[0].dy_seen);
  const auto before =
      updates_of(ModelSpec({8}).Linear(8).Gelu().Add(0).Linear(2));
  EXPECT_FALSE(before[0].dy_seen || before[0].looks_at_y);
}

// Each element of the state is updated once: by an epilogue, or for models that
// it leaves, by its tile; or by the others.
TEST(EpilogueUpdates, TilesCoverTheStateOnce) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const grouped::testing::RandomPopulation population(seed);
    const auto plan = grouped::BuildPlan(population.request);
    if (!plan.ok()) continue;
    const auto schedule = BuildSchedule(*plan, 1, EpilogueUpdates::kAlways);
    ASSERT_TRUE(schedule.ok());
    std::vector<int> owner(plan->state_size, -1);
    const auto cover = [&](const std::vector<StateTile>& tiles, int times) {
      for (const StateTile& tile : tiles) {
        for (int64_t e = tile.offset; e < tile.offset + tile.count; ++e) {
          ASSERT_EQ(owner.at(e), -1);
          owner[e] = 2 * tile.model + times;
        }
      }
    };
    cover(schedule->epilogue_state_tiles, 0);
    cover(schedule->other_state_tiles, 1);
    for (size_t m = 0; m < plan->models.size(); ++m) {
      const grouped::ModelPlan& model = plan->models[m];
      for (const grouped::GroupedOp& op : plan->ops) {
        for (const int p : {op.weight, op.bias}) {
          if (p < 0) continue;
          const bool in_epilogue =
              op.code == grouped::OpCode::kLinear && p == op.weight;
          const grouped::ParameterPlan& parameter = model.parameters[p];
          for (int64_t e = 0; e < parameter.size; ++e) {
            ASSERT_EQ(owner[model.state_offset + parameter.offset + e],
                      static_cast<int>(2 * m + (in_epilogue ? 0 : 1)));
          }
        }
      }
    }
  }
}

// Sums of gradients keep the plan's order: a derivative that others add to is a
// step of its own.
TEST(Fuse, DerivativesOfWhatHasSeveralReadersAreNotFused) {
  const std::vector<Fusion> residual = Fuse(
      PlanOf({ModelSpec({8}).Linear(8).Relu().Linear(8).Add(1).Linear(2)}));
  EXPECT_TRUE(residual[1].forward_done);
  EXPECT_FALSE(residual[1].backward_done);
  const std::vector<Fusion> before = Fuse(
      PlanOf({ModelSpec({8}).Linear(8).Relu().Linear(8).Add(0).Linear(2)}));
  EXPECT_FALSE(before[1].backward_done);
}

TEST(BuildSchedule, RefusesWhatDoesNotFit32Bits) {
  const auto schedule = BuildSchedule(
      PlanOf({ModelSpec({1}).Linear(int64_t{1} << 20).Linear(1)}, 1 << 12), 1);
  EXPECT_TRUE(absl::IsInvalidArgument(schedule.status())) << schedule.status();
  EXPECT_THAT(std::string(schedule.status().message()),
              HasSubstr("model 0: a layer of 1048576 values"));
}

}  // namespace
}  // namespace modelbatch::cuda
