// Random subsets of a batch, one for each model: what bagging without
// replacement needs.
//
//   MB_ASSIGN_OR_RETURN(auto masks, CreateRandomMasks(batch.size(), models));
//   MB_ASSIGN_OR_RETURN(RoutedRows routed, router.RouteBatch(batch, masks));
#ifndef MODELBATCH_ROUTING_RANDOM_MASKS_H_
#define MODELBATCH_ROUTING_RANDOM_MASKS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// uint8 [batch_size], 1 for exactly max(1, round(subset_ratio * batch_size))
// rows (the product in double, halves away from zero): the rows that come first
// in RandomPermutation(batch_size, seed, kMask, stream = model). So a model's
// mask depends on its number and not on the other models. For another mask in
// each step, give another seed, such as DeriveSeed(seed, step).
//
// 1 <= batch_size < 2^31, subset_ratio in (0, 1]; else InvalidArgument.
absl::StatusOr<Tensor> CreateRandomMask(int64_t batch_size, int64_t model,
                                        double subset_ratio = 0.8,
                                        uint64_t seed = 0);

// The masks of models 0 to num_models - 1; num_models >= 1.
absl::StatusOr<std::vector<Tensor>> CreateRandomMasks(int64_t batch_size,
                                                      int num_models,
                                                      double subset_ratio = 0.8,
                                                      uint64_t seed = 0);

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_RANDOM_MASKS_H_
