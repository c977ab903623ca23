#include "modelbatch/routing/stratified_router.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/routing/deal.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr const char* kNames[] = {"round_robin", "random", "class_based"};

std::vector<std::vector<int32_t>> DealClasses(
    const std::vector<LabelGroup>& groups, int64_t num_models,
    int64_t num_classes) {
  std::vector<std::vector<int32_t>> hands(static_cast<size_t>(num_models));
  for (const LabelGroup& group : groups) {
    // Models label, label + num_classes, ...; one, where there are as many
    // classes as models.
    const int64_t first = group.label % num_models;
    const int64_t owners = num_models <= num_classes
                               ? 1
                               : PartsOf(num_models - first, num_classes);
    const auto parts = DealInTurn({group}, owners);
    for (int64_t i = 0; i < owners; ++i) {
      std::vector<int32_t>& hand = hands[first + i * num_classes];
      hand.insert(hand.end(), parts[i].begin(), parts[i].end());
    }
  }
  return hands;
}

}  // namespace

absl::StatusOr<StratifiedRouter> StratifiedRouter::Create(
    int num_models, const std::string& strategy, uint64_t seed) {
  if (num_models < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_models is ", num_models, ", expected at least 1"));
  }
  for (int i = 0; i < 3; ++i) {
    if (strategy == kNames[i]) {
      return StratifiedRouter(num_models, static_cast<StratifiedStrategy>(i),
                              seed);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "strategy is \"", strategy,
      "\", expected \"round_robin\", \"random\" or \"class_based\""));
}

absl::StatusOr<std::vector<Tensor>> StratifiedRouter::CreateStratifiedIndices(
    const Tensor& labels, std::optional<int64_t> num_classes) const {
  MB_RETURN_IF_ERROR(CheckLabels(labels, num_classes));
  std::vector<LabelGroup> groups = GroupByLabel(labels);
  if (strategy_ == StratifiedStrategy::kRandom) {
    for (LabelGroup& group : groups) {
      ShuffleRows(seed_, RandomPurpose::kStratify,
                  static_cast<uint64_t>(group.label), &group.rows);
    }
  }
  const std::vector<std::vector<int32_t>> hands =
      strategy_ == StratifiedStrategy::kClassBased
          ? DealClasses(groups, num_models_,
                        num_classes.value_or(groups.back().label + 1))
          : DealInTurn(groups, num_models_);
  std::vector<Tensor> indices;
  for (const std::vector<int32_t>& hand : hands) {
    indices.push_back(Tensor::FromVector<int64_t>(
        {hand.begin(), hand.end()}, {static_cast<int64_t>(hand.size())}));
  }
  return indices;
}

}  // namespace modelbatch
