// ComputeLoss on the cases of a safetensors file.
//   driver FROM TO
// FROM's metadata has "cases": a JSON array of {"kind", "attributes"}; case i's
// tensors are "i.outputs" and "i.targets". TO gets "i.loss", "i.weight",
// "i.rows" and "i.gradient".
#include <cstdio>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/loss/compute_loss.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

Attributes ParseAttributes(const Json& json) {
  Attributes attributes;
  for (const auto& [name, value] : json.items()) {
    if (value.is_array()) {
      attributes[name] = value.get<std::vector<double>>();
    } else if (value.is_number_integer()) {
      attributes[name] = value.get<int64_t>();
    } else {
      attributes[name] = value.get<double>();
    }
  }
  return attributes;
}

absl::Status Run(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(const Safetensors file, ReadSafetensors(from));
  std::deque<Tensor> results;
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, Tensor tensor) {
    tensors.push_back({name, &results.emplace_back(std::move(tensor))});
  };
  int i = 0;
  for (const Json& spec : Json::parse(file.metadata.at("cases"))) {
    const std::string prefix = absl::StrCat(i++, ".");
    MB_ASSIGN_OR_RETURN(
        const LossSettings loss,
        ReadLoss({spec.at("kind"), ParseAttributes(spec.at("attributes"))}));
    MB_ASSIGN_OR_RETURN(LossValue value,
                        ComputeLoss(loss, file.tensors.at(prefix + "outputs"),
                                    file.tensors.at(prefix + "targets"),
                                    /*with_gradient=*/true));
    add(prefix + "loss", Tensor::FromVector<double>({value.loss}, {}));
    add(prefix + "weight", Tensor::FromVector<double>({value.weight}, {}));
    const int64_t rows = static_cast<int64_t>(value.row_losses.size());
    add(prefix + "rows", Tensor::FromVector(value.row_losses, {rows}));
    add(prefix + "gradient", std::move(value.gradient));
  }
  return WriteSafetensors(to, tensors, {});
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: driver FROM TO\n");
    return 2;
  }
  const absl::Status status = modelbatch::Run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
