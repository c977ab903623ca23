// Gradients in pieces, memory fetched ahead, threads that share models or help
// each other: every way to run a step ends with the same bits.
#include "backends/cpu/pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/cpu_executor.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/model_step.h"
#include "backends/grouped/plan.h"
#include "backends/grouped/testing/bits_comparison.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {
namespace {

struct Way {
  std::string name;
  int64_t threads = 1, threads_per_model = 1;
  std::string kernels = "best";
};

class PiecesTest : public ::testing::TestWithParam<Way> {};

// The other side of the comparison is one thread, whole gradients (its models
// are small), and no fetching.
TEST_P(PiecesTest, AnyCallsOnAnyPopulation) {
  CpuExecutor::Options in_pieces;
  in_pieces.pieces_from = 0;
  in_pieces.cached_bytes = 0;
  const Attributes options = {
      {"threads", GetParam().threads},
      {"threads_per_model", GetParam().threads_per_model},
      {"kernels", GetParam().kernels}};
  int stepped = 0;
  for (uint64_t seed = 0; seed < 150 && !HasFailure(); ++seed) {
    auto backend = CpuBackend::CreateWith(options, in_pieces);
    if (FindKernels(GetParam().kernels.c_str()) == nullptr &&
        GetParam().kernels != "best") {
      GTEST_SKIP() << backend.status();
    }
    ASSERT_TRUE(backend.ok()) << backend.status();
    grouped::testing::BitsComparison comparison(seed, *std::move(backend));
    if (!comparison.Compile()) continue;
    for (int call = 0; call < 7 && !HasFailure(); ++call) {
      comparison.CallAnything();
      comparison.Compare();
    }
    stepped += comparison.stepped();
    if (HasFailure()) {
      FAIL() << "seed " << seed << ": " << comparison.ToString();
    }
  }
  EXPECT_GT(stepped, 800);  // the test tested something
}

INSTANTIATE_TEST_SUITE_P(Ways, PiecesTest,
                         ::testing::Values(Way{"OneThread"},
                                           Way{"TwoThreads", 2},
                                           Way{"Teams", 12, 3},
                                           Way{"Portable", 1, 1, "generic"},
                                           Way{"Avx2", 1, 1, "avx2"}),
                         [](const auto& info) { return info.param.name; });

// A thread's memory holds the largest piece of any share: that of fewer outputs
// may be larger than that of all.
TEST(ScratchSize, HoldsThePiecesOfEveryTeam) {
  for (const int64_t in : {1, 7, 64, 100, 128, 300, 784, 9000}) {
    for (int64_t out = 1; out < 300; out += out < 20 ? 1 : 9) {
      ModelInstance model{0, 0, ModelSpec({in})};
      model.spec.Linear(out);
      const auto plan = grouped::BuildPlan({{model}, {"mse", {}}, 4, {}});
      ASSERT_TRUE(plan.ok()) << plan.status();
      const int64_t size = ModelStep::ScratchSize(*plan);
      for (int64_t share = 1; share <= out; ++share) {
        const int64_t outputs = std::min(share, WeightPieceOutputs(in, share));
        ASSERT_LE(in * outputs + out, size) << in << " " << out << " " << share;
        ASSERT_GE(outputs, 1);
      }
      ASSERT_LE(
          in * std::min(RoundUp(out, kAlignFloats), ForwardPieceColumns(in)),
          size);
    }
  }
}

// The first layer is updated before the second one's gradient is known, which
// overflows: h = 1e25, d loss / d y = -2e15. So it must not have been.
TEST(UpdateInPieces, NothingIsUpdatedWhereAGradientWillOverflow) {
  for (int64_t pieces_from : {0, 1000}) {
    CpuExecutor::Options options;
    options.pieces_from = pieces_from;
    auto backend = *CpuBackend::CreateWith({{"threads", int64_t{1}}}, options);
    ModelInstance model{0, 0, ModelSpec({1})};
    model.spec.Linear(1).Linear(1);
    auto session = *backend->Compile({{model}, {"mse", {}}, 1, {}});
    ASSERT_TRUE(session->SetOptimizer("sgd").ok());
    const auto tensor = [](Shape shape, float value) {
      Tensor result = Tensor::Zeros(DType::kFloat32, std::move(shape));
      result.data<float>()[0] = value;
      return result;
    };
    const std::vector<std::pair<std::string, float>> weights = {
        {"0.weight", 1e25f}, {"1.weight", 1e-25f}};
    for (const auto& [name, value] : weights) {
      ASSERT_TRUE(
          session->WriteState(0, "param", name, tensor({1, 1}, value)).ok());
    }
    const auto dataset =
        *backend->CreateDataset(tensor({1, 1}, 1), tensor({1, 1}, 1e15f));
    StepRequest request;
    request.dataset = dataset.get();
    const int32_t row = 0;
    request.rows.rows = absl::MakeConstSpan(&row, 1);
    std::vector<Column> columns;
    for (const char* name :
         {"lr", "momentum", "dampening", "weight_decay", "nesterov"}) {
      columns.push_back({name, {name == std::string("lr") ? 1.0 : 0.0}});
    }
    request.columns = columns;
    StepResult result;
    const absl::Status status = session->TrainStep(request, &result);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(result.outcomes[0], Outcome::kNonFiniteGradient);
    EXPECT_FLOAT_EQ(result.losses[0], 1e30f);
    for (const auto& [name, value] : weights) {
      const Tensor after = *session->ReadState(0, "param", name);
      EXPECT_EQ(after.data<float>()[0], value) << name;
    }
  }
}

}  // namespace
}  // namespace modelbatch::cpu
