// A model among many others of mixed shapes, on the emulator.
#include "backends/cuda/testing/among_many.h"

#include <gtest/gtest.h>

#include <memory>

#include "backends/cuda/emulator/emulated_gpu.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using emulator::Order;

class AmongMany : public ::testing::TestWithParam<Precision> {};

TEST_P(AmongMany, AModelHasTheBitsThatItHasAlone) {
  // In another order every time.
  uint64_t opened = 0;
  testing::AmongMany options;
  options.open = [&opened]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
    emulator::RunOptions run;
    run.order = opened % 2 == 0 ? Order::kRandom : Order::kDescending;
    run.seed = opened++;
    return std::make_unique<EmulatedGpu>(run);
  };
  options.precision = GetParam();
  // What there is time for; widths on both sides of those of the tiles.
  options.models = 40;
  options.widest = 70;
  testing::TestAmongMany(options);
}

INSTANTIATE_TEST_SUITE_P(Precisions, AmongMany,
                         ::testing::Values(Precision::kFp32, Precision::kTf32,
                                           Precision::kBf16));

}  // namespace
}  // namespace modelbatch::cuda
