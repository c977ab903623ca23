// The promise: in fp32 the cuda backend has the bits of the cpu backend. Here
// its kernels run on the emulator, in several orders.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "backends/cuda/schedule/epilogue_updates.h"
#include "backends/grouped/testing/bits_comparison.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using emulator::Order;
using emulator::RunOptions;

class CpuBits : public ::testing::TestWithParam<Order> {};

TEST_P(CpuBits, OfAnyCallsOnAnyPopulation) {
  int compiled = 0, stepped = 0;
  int64_t wide = 0, updating = 0;  // launches
  for (uint64_t seed = 0; seed < 60; ++seed) {
    RunOptions order;
    order.order = GetParam();
    order.seed = seed;
    std::vector<EmulatedGpu*> gpus;
    const bool in_epilogues = seed % 2 == 0;
    const EpilogueUpdates updates = !in_epilogues
                                        ? EpilogueUpdates::kWhereTheyPay
                                    : seed % 4 == 0 ? EpilogueUpdates::kSome
                                                    : EpilogueUpdates::kAlways;
    grouped::testing::BitsComparison comparison(
        3 * seed + static_cast<uint64_t>(GetParam()),
        std::make_unique<CudaBackend>(
            [&]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
              auto gpu = std::make_unique<EmulatedGpu>(order);
              gpus.push_back(gpu.get());
              return std::unique_ptr<Gpu>(std::move(gpu));
            },
            updates));
    if (in_epilogues) comparison.PreferEpilogueUpdates();
    if (!comparison.Compile()) continue;
    ++compiled;
    for (int call = 0; call < 7 && !HasFailure(); ++call) {
      comparison.CallAnything();
      comparison.Compare();
      for (EmulatedGpu* gpu : gpus) {
        EXPECT_TRUE(gpu->CheckGuards().ok()) << gpu->CheckGuards();
        for (const std::string& call : gpu->TakeCalls()) {
          wide += call == "product wide";
          updating += call.rfind("updating product", 0) == 0;
        }
      }
    }
    stepped += comparison.stepped();
    if (HasFailure()) {
      FAIL() << "seed " << seed << ": " << comparison.ToString();
    }
  }
  // The test tested something.
  EXPECT_GT(compiled, 40);
  EXPECT_GT(stepped, 300);
  EXPECT_GT(wide, 20);
  EXPECT_GT(updating, 150);
}

INSTANTIATE_TEST_SUITE_P(Orders, CpuBits,
                         ::testing::Values(Order::kAscending,
                                           Order::kDescending, Order::kRandom));

}  // namespace
}  // namespace modelbatch::cuda
