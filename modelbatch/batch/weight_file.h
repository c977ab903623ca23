// The weights of one model in a file, checked against what the model has.
//
//   MB_ASSIGN_OR_RETURN(Weights weights,
//                       ReadWeights("model_0.pt", layout));
#ifndef MODELBATCH_BATCH_WEIGHT_FILE_H_
#define MODELBATCH_BATCH_WEIGHT_FILE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Parameter -> value, as in PyTorch's state_dict.
using Weights = std::map<std::string, Tensor>;

// All tensors of a file: safetensors where its name ends in ".safetensors",
// else a state_dict of torch.save. Errors are those of the formats' readers.
absl::StatusOr<Weights> ReadWeights(const std::string& file);

// OK when they are the model's: every parameter in its shape, as float32, and
// no tensor besides. InvalidArgument names the tensor, what was found and what
// was expected.
absl::Status CheckWeights(const Weights& weights, const Layout& layout);

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_WEIGHT_FILE_H_
