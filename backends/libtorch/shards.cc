#include "backends/libtorch/shards.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

namespace modelbatch::libtorch {
namespace {

using grouped::ModelPlan;

// Equal for models that can be stacked.
using Signature =
    std::tuple<std::vector<int64_t>, std::vector<Shape>, std::vector<double>>;

Signature SignatureOf(const ModelPlan& model) {
  Signature signature;
  auto& [cols, shapes, eps] = signature;
  for (const grouped::BufferPlan& value : model.values) {
    cols.push_back(value.cols);
  }
  for (const grouped::ParameterPlan& parameter : model.parameters) {
    shapes.push_back(parameter.shape);
  }
  for (const grouped::OpNumbers& numbers : model.numbers) {
    eps.push_back(numbers.eps);
  }
  return signature;
}

// Of one model; never zero, so that models without parameters count too.
double WorkOf(const ModelPlan& model) {
  return static_cast<double>(model.flops_per_row) + 1;
}

}  // namespace

bool CanStack(const ModelPlan& a, const ModelPlan& b) {
  return SignatureOf(a) == SignatureOf(b);
}

std::vector<Shard> MakeShards(const grouped::Plan& plan, int pieces) {
  std::map<Signature, Shard> sets;
  double total = 0;
  for (size_t i = 0; i < plan.models.size(); ++i) {
    sets[SignatureOf(plan.models[i])].push_back(static_cast<int>(i));
    total += WorkOf(plan.models[i]);
  }
  const auto work = [&plan](const Shard& shard) {
    return WorkOf(plan.models[shard[0]]) * static_cast<double>(shard.size());
  };
  std::vector<Shard> shards;
  for (const auto& [signature, set] : sets) {
    const int64_t size = static_cast<int64_t>(set.size());
    // Rounded up, but not because of the rounding of the work itself.
    const int64_t wanted =
        static_cast<int64_t>(std::ceil(work(set) / total * pieces - 1e-9));
    const int64_t parts = std::clamp<int64_t>(wanted, 1, size);
    for (int64_t part = 0; part < parts; ++part) {
      shards.emplace_back(set.begin() + size * part / parts,
                          set.begin() + size * (part + 1) / parts);
    }
  }
  std::stable_sort(
      shards.begin(), shards.end(),
      [&](const Shard& a, const Shard& b) { return work(a) > work(b); });
  return shards;
}

}  // namespace modelbatch::libtorch
