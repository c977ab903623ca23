#include "backends/cpu/measure_products.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "backends/cpu/float_buffer.h"
#include "backends/grouped/plan.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cpu {
namespace {

constexpr int kChoices = static_cast<int>(std::size(kGemmTilings));
// Rounds that a shape has at least, if it has any, and at most.
constexpr int kLeastRounds = 3, kMostRounds = 20;
// Below this a run is repeated within one measurement: clocks are coarse.
constexpr double kLeastSeconds = 20e-6;
// What another way must be faster by.
constexpr double kGain = 0.98;

double Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// One product's operands, as ModelStep lays them out.
class Operands {
 public:
  static absl::StatusOr<std::unique_ptr<Operands>> Create(
      const ProductShape& shape) {
    auto operands = std::make_unique<Operands>();
    GemmArgs& g = operands->args_;
    g.m = shape.m, g.n = shape.n, g.k = shape.k;
    // Of a: [rows, ld].
    const bool transposed = shape.product == Product::kWeightGradient;
    const int64_t a_rows = transposed ? shape.k : shape.m;
    const int64_t a_ld = grouped::RowStride(transposed ? shape.m : shape.k);
    g.a_row = transposed ? 1 : a_ld;
    g.a_col = transposed ? a_ld : 1;
    const int64_t padded = RoundUp(shape.n, kAlignFloats);
    g.b_padded = shape.product != Product::kInputGradient;
    g.b_row = transposed   ? grouped::RowStride(shape.n)
              : g.b_padded ? padded
                           : shape.n;
    g.c_padded = !transposed;
    g.c_row = transposed ? shape.n : grouped::RowStride(shape.n);
    MB_ASSIGN_OR_RETURN(g.a, operands->Fill(operands->a_, a_rows * a_ld));
    MB_ASSIGN_OR_RETURN(g.b, operands->Fill(operands->b_, shape.k * g.b_row));
    MB_RETURN_IF_ERROR(operands->c_.Allocate(shape.m * g.c_row));
    g.c = operands->c_.data();
    if (shape.product == Product::kForward) {
      MB_ASSIGN_OR_RETURN(g.bias, operands->Fill(operands->bias_, padded));
    }
    return operands;
  }

  // One round over all ways.
  void Measure(const Kernels& kernels) {
    for (int i = 0; i < kChoices; ++i) {
      args_.tiling = kGemmTilings[i];
      const double begin = Now();
      for (int64_t run = 0; run < runs_; ++run) kernels.gemm(args_);
      const double seconds = Now() - begin;
      // The first runs meet cold memory; they only say how many to make.
      if (rounds_ == 0 && i == 0 && seconds < kLeastSeconds) {
        const double more = kLeastSeconds / std::max(seconds, 20e-9);
        runs_ = static_cast<int64_t>(more) + 1;
      } else {
        best_[i] = std::min(best_[i], seconds / static_cast<double>(runs_));
      }
    }
    ++rounds_;
  }

  TunedProduct Best() const {
    TunedProduct result;
    result.default_seconds = result.seconds = best_[0];
    for (int i = 1; i < kChoices; ++i) {
      if (best_[i] >= result.seconds || best_[i] >= kGain * best_[0]) continue;
      result.seconds = best_[i];
      result.tiling = kGemmTilings[i];
    }
    return result;
  }

 private:
  absl::StatusOr<const float*> Fill(FloatBuffer& buffer, int64_t size) {
    MB_RETURN_IF_ERROR(buffer.Allocate(size));
    // Neither denormal nor growing.
    for (int64_t e = 0; e < size; ++e) {
      buffer.data()[e] = 0.25f - static_cast<float>(e % 7) * 0.0625f;
    }
    return buffer.data();
  }

  GemmArgs args_;
  FloatBuffer a_, b_, c_, bias_;
  int64_t runs_ = 1;
  int rounds_ = 0;
  double best_[kChoices] = {std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::infinity()};
};

}  // namespace

absl::StatusOr<std::vector<std::optional<TunedProduct>>> MeasureProducts(
    const Kernels& kernels, absl::Span<const ProductShape> shapes,
    absl::Duration limit) {
  static_assert(kChoices == 3, "as many as best_ has");
  const ScopedFloatMode mode;
  const double end = Now() + absl::ToDoubleSeconds(limit);
  std::vector<std::unique_ptr<Operands>> all;
  for (const ProductShape& shape : shapes) {
    if (Now() >= end) break;
    MB_ASSIGN_OR_RETURN(std::unique_ptr<Operands> operands,
                        Operands::Create(shape));
    for (int round = 0; round < kLeastRounds; ++round) {
      operands->Measure(kernels);
    }
    all.push_back(std::move(operands));
  }
  for (int round = kLeastRounds; round < kMostRounds; ++round) {
    for (const std::unique_ptr<Operands>& operands : all) {
      if (Now() >= end) break;
      operands->Measure(kernels);
    }
  }
  std::vector<std::optional<TunedProduct>> result(shapes.size());
  for (size_t i = 0; i < all.size(); ++i) result[i] = all[i]->Best();
  return result;
}

}  // namespace modelbatch::cpu
