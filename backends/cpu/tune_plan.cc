#include "backends/cpu/tune_plan.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "backends/cpu/measure_products.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cpu {
namespace {

using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;

// Calls f(shape, where its tiling goes) for every product.
template <typename F>
void ForEachProduct(const grouped::Plan& plan,
                    std::vector<std::vector<LinearTilings>>& tilings, F f) {
  for (size_t m = 0; m < plan.models.size(); ++m) {
    const ModelPlan& model = plan.models[m];
    for (const GroupedOp& op : plan.ops) {
      if (op.code != OpCode::kLinear) continue;
      const int64_t in = model.values[op.inputs[0]].cols;
      const int64_t out = model.values[op.output].cols;
      const int64_t rows = plan.max_rows;
      LinearTilings& own = tilings[m][op.index];
      f(ProductShape{Product::kForward, rows, out, in}, &own.forward);
      f(ProductShape{Product::kWeightGradient, out, in, rows},
        &own.weight_gradient);
      if (op.wants_gradient[0]) {
        f(ProductShape{Product::kInputGradient, rows, in, out},
          &own.input_gradient);
      }
    }
  }
}

}  // namespace

absl::StatusOr<TunedPlan> TunePlan(const grouped::Plan& plan,
                                   const Kernels& kernels,
                                   const TuneOptions& options,
                                   TuningTable* table) {
  const absl::Time begin = absl::Now();
  TunedPlan result;
  TuneReport& report = result.report;
  if (!options.cache.empty()) {
    MB_RETURN_IF_ERROR(table->Read(options.cache, &report.notes));
  }
  result.tilings.assign(plan.models.size(),
                        std::vector<LinearTilings>(plan.ops.size()));
  std::map<ProductShape, int64_t> uses;
  ForEachProduct(
      plan, result.tilings,
      [&](const ProductShape& shape, GemmTiling*) { ++uses[shape]; });

  std::vector<ProductShape> unknown;
  for (const auto& [shape, unused] : uses) {
    if (!table->Find(kernels.name, shape)) unknown.push_back(shape);
  }
  std::stable_sort(unknown.begin(), unknown.end(),
                   [&](const ProductShape& a, const ProductShape& b) {
                     const auto work = [&](const ProductShape& s) {
                       return static_cast<double>(uses[s]) * s.m * s.n * s.k;
                     };
                     return work(a) > work(b);
                   });
  std::map<ProductShape, TunedProduct> measured;
  if (options.time_ms > 0 && !unknown.empty()) {
    MB_ASSIGN_OR_RETURN(
        const auto found,
        MeasureProducts(kernels, unknown, absl::Milliseconds(options.time_ms)));
    for (size_t i = 0; i < unknown.size(); ++i) {
      if (!found[i]) continue;
      measured[unknown[i]] = *found[i];
      table->Add(kernels.name, unknown[i], *found[i]);
    }
  }
  if (!options.cache.empty()) {
    MB_RETURN_IF_ERROR(table->AddTo(options.cache, &report.notes));
  }

  std::map<ProductShape, GemmTiling> chosen;
  for (const auto& [shape, count] : uses) {
    TuneChoice& choice = report.choices.emplace_back();
    choice.operation = shape.ToString();
    choice.uses = count;
    const bool now = measured.count(shape) > 0;
    const std::optional<TunedProduct> tuned = table->Find(kernels.name, shape);
    if (tuned) {
      choice.origin = now ? TuneOrigin::kMeasured : TuneOrigin::kCached;
      choice.candidates = std::size(kGemmTilings);
      choice.default_seconds = tuned->default_seconds;
      choice.seconds = tuned->seconds;
      chosen[shape] = tuned->tiling;
    }
    choice.choice = TilingName(chosen[shape]);
  }
  ForEachProduct(plan, result.tilings,
                 [&](const ProductShape& shape, GemmTiling* tiling) {
                   *tiling = chosen[shape];
                 });
  report.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

}  // namespace modelbatch::cpu
