// Weights from files that models begin with, in place of random ones
// (train.init_from): to train on, or to come from PyTorch.
//
//   MB_ASSIGN_OR_RETURN(population.initial,
//                       ReadInitialWeights("weights", population));
#ifndef MODELBATCH_TRAIN_INITIAL_WEIGHTS_H_
#define MODELBATCH_TRAIN_INITIAL_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/search/population.h"

namespace modelbatch {

// `path` is a folder with model_<id>.pt or model_<id>.safetensors for each
// model, or one such file for all. Errors name file, model and tensor: missing,
// besides, or of another shape or type; two files for one model.
absl::StatusOr<std::vector<InitialWeights>> ReadInitialWeights(
    const std::string& path, const Population& population);

// Of names, shapes and bytes; 0 when there are none.
uint64_t InitialFingerprint(const Population& population);

// Writes copies into `folder`, so that a run holds what it began with: the file
// initial.safetensors where all models have the same, else the folder initial.
// Returns which of the two; empty when there are no initial weights.
absl::StatusOr<std::string> CopyInitialWeights(const Population& population,
                                               const std::string& folder);

// Removes what CopyInitialWeights has written.
void RemoveInitialWeights(const std::string& folder);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_INITIAL_WEIGHTS_H_
