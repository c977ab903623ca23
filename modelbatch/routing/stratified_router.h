// Divides the rows of a batch, or of a whole data set, among models by class.
//
//   MB_ASSIGN_OR_RETURN(auto router,
//                       StratifiedRouter::Create(models, "random", seed));
//   MB_ASSIGN_OR_RETURN(auto indices, router.CreateStratifiedIndices(labels));
//   MB_ASSIGN_OR_RETURN(RoutedRows routed,
//                       data_router.RouteBatch(batch, {}, indices));
#ifndef MODELBATCH_ROUTING_STRATIFIED_ROUTER_H_
#define MODELBATCH_ROUTING_STRATIFIED_ROUTER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

enum class StratifiedStrategy { kRoundRobin, kRandom, kClassBased };

// Immutable, so thread-safe.
class StratifiedRouter {
 public:
  // `strategy` is "round_robin", "random" or "class_based"; num_models >= 1.
  // Only "random" draws; for another draw give another seed, such as
  // DeriveSeed(seed, step).
  static absl::StatusOr<StratifiedRouter> Create(int num_models,
                                                 const std::string& strategy,
                                                 uint64_t seed = 0);

  int num_models() const { return num_models_; }
  StratifiedStrategy strategy() const { return strategy_; }

  // The positions in `labels` (int64 [rows], rows >= 1, labels >= 0 and below
  // num_classes where that is given) that each model gets: int64 [k_i], every
  // position to exactly one model.
  //
  // - round_robin: classes in ascending order, each class's rows in the order
  //   they stand; rows are dealt to models 0, 1, ..., num_models - 1, 0, ... in
  //   turn, and the turn goes on from one class to the next. Of each class, and
  //   in all, any two models have equally many rows or differ by one.
  // - random: the same, after the rows of each class c were shuffled
  //   (RandomPermutation, purpose kStratify, stream c).
  // - class_based: model m gets the classes c with c mod num_models = m, whole.
  //   With more models than classes, the rows of class c are dealt in turn to
  //   the models m with m mod num_classes = c; num_classes, when not given, is
  //   the largest label + 1. Rows keep their order within a class.
  //
  // A model may get no rows. InvalidArgument names the row and its label.
  absl::StatusOr<std::vector<Tensor>> CreateStratifiedIndices(
      const Tensor& labels, std::optional<int64_t> num_classes = {}) const;

 private:
  StratifiedRouter(int num_models, StratifiedStrategy strategy, uint64_t seed)
      : num_models_(num_models), strategy_(strategy), seed_(seed) {}

  int num_models_;
  StratifiedStrategy strategy_;
  uint64_t seed_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_STRATIFIED_ROUTER_H_
