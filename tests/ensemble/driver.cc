// Combines the outputs in a safetensors file, "output.0", "output.1", ..., with
// "weights" where there are any, and writes both combinations to another.
//   driver FROM TO
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/ensemble/ensemble.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status Combine(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(Safetensors file, ReadSafetensors(from));
  std::vector<double> weights;
  const auto it = file.tensors.find("weights");
  if (it != file.tensors.end()) {
    const double* data = it->second.data<double>();
    weights.assign(data, data + it->second.size());
  }
  std::vector<Tensor> outputs;
  while (true) {
    const auto output =
        file.tensors.find(absl::StrCat("output.", outputs.size()));
    if (output == file.tensors.end()) break;
    outputs.push_back(std::move(output->second));
  }
  MB_ASSIGN_OR_RETURN(const ClassificationEnsemble classes,
                      CombineClassifiers(outputs, weights));
  MB_ASSIGN_OR_RETURN(const RegressionEnsemble values,
                      CombineRegressors(outputs, weights));
  return WriteSafetensors(to,
                          {{"probabilities", &classes.probabilities},
                           {"predicted", &classes.predicted},
                           {"class_spread", &classes.spread},
                           {"votes", &classes.votes},
                           {"majority", &classes.majority},
                           {"entropy", &classes.entropy},
                           {"mutual_information", &classes.mutual_information},
                           {"mean", &values.mean},
                           {"spread", &values.spread},
                           {"min", &values.min},
                           {"max", &values.max}},
                          {});
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: driver FROM TO\n");
    return 2;
  }
  const absl::Status status = modelbatch::Combine(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
