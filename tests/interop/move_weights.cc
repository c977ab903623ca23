// A batch of three networks, its weights and outputs, for model_batch_test.py.
//   move_weights save FOLDER         SaveAll; inputs, outputs and weights
//                                    ("<model>.<parameter>") in FOLDER/data
//   move_weights load FOLDER         LoadAll, then the same
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/io/safetensors.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kModels = 3, kIn = 6, kRows = 9;

absl::Status Run(const std::string& what, const std::string& folder) {
  std::vector<ModelInstance> models;
  for (int i = 0; i < kModels; ++i) {
    models.push_back(
        {i, DeriveSeed(3, i),
         ModelSpec({kIn}).Linear(5 + i).Relu().LayerNorm().Linear(4)});
  }
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      CreateBackend("cpu"));
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<ModelBatch> batch,
      ModelBatch::Create(backend.get(), models, {"mse", {}}, kRows));
  if (what == "load") {
    MB_RETURN_IF_ERROR(batch->LoadAll(folder));
  } else {
    MB_RETURN_IF_ERROR(batch->SaveAll(folder));
  }
  Tensor inputs = Tensor::Zeros(DType::kFloat32, {kRows, kIn});
  for (int64_t i = 0; i < inputs.size(); ++i) {
    inputs.data<float>()[i] = static_cast<float>((i * 7) % 11) / 5 - 1;
  }
  batch->Eval();
  MB_ASSIGN_OR_RETURN(const Tensor outputs, batch->Forward(inputs));
  std::vector<std::string> names = {"inputs", "outputs"};
  std::vector<Tensor> tensors;
  tensors.push_back(std::move(inputs));
  tensors.push_back(outputs.Clone());
  for (int i = 0; i < kModels; ++i) {
    for (const Parameter& parameter : batch->layout(i).parameters) {
      MB_ASSIGN_OR_RETURN(Tensor value, batch->GetParameter(i, parameter.name));
      names.push_back(std::to_string(i) + "." + parameter.name);
      tensors.push_back(std::move(value));
    }
  }
  std::vector<NamedTensor> named;
  for (size_t t = 0; t < names.size(); ++t) {
    named.push_back({names[t], &tensors[t]});
  }
  return WriteSafetensors(folder + "/data", named, {});
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::Status status = modelbatch::Run(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
