// Metrics of the cases in a safetensors file.
//   driver FROM TO
// FROM's metadata has "cases": a JSON array of {"models", "shared",
// "ignore_index", "top_k"} for classes, of {"models", "shared", "sigmoid"} for
// values. Case c has the tensors "c.<model>.outputs" and "c.<model>.targets",
// or "c.0.targets" alone when they are shared. TO gets "c.<model>.<metric>".
#include <cstdio>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/metrics/classification.h"
#include "modelbatch/metrics/regression.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

class Results {
 public:
  void Add(const std::string& name, Tensor tensor) {
    tensors_.push_back({name, &kept_.emplace_back(std::move(tensor))});
  }
  void Add(const std::string& name, double value) {
    Add(name, Tensor::FromVector<double>({value}, {}));
  }
  void Add(const std::string& name, const std::vector<double>& values) {
    Add(name,
        Tensor::FromVector(values, {static_cast<int64_t>(values.size())}));
  }
  absl::Status Write(const char* path) const {
    return WriteSafetensors(path, tensors_, {});
  }

 private:
  std::deque<Tensor> kept_;
  std::vector<NamedTensor> tensors_;
};

void Add(const std::string& prefix, const ClassificationMetrics& m,
         Results* results) {
  results->Add(prefix + "rows", static_cast<double>(m.rows));
  results->Add(prefix + "accuracy", m.accuracy);
  results->Add(prefix + "top_k_accuracy", m.top_k_accuracy);
  results->Add(prefix + "confusion", m.confusion.Borrow());
  results->Add(prefix + "precision", m.precision);
  results->Add(prefix + "recall", m.recall);
  results->Add(prefix + "f1", m.f1);
  results->Add(prefix + "macro_precision", m.macro_precision);
  results->Add(prefix + "macro_recall", m.macro_recall);
  results->Add(prefix + "macro_f1", m.macro_f1);
}

void Add(const std::string& prefix, const RegressionMetrics& m,
         Results* results) {
  results->Add(prefix + "rows", static_cast<double>(m.rows));
  results->Add(prefix + "mse", m.mse);
  results->Add(prefix + "mae", m.mae);
  results->Add(prefix + "rmse", m.rmse);
  results->Add(prefix + "r2", m.r2);
}

template <typename Metrics>
void AddAll(const std::string& prefix, const std::vector<Metrics>& all,
            Results* results) {
  for (size_t i = 0; i < all.size(); ++i) {
    Add(absl::StrCat(prefix, i, "."), all[i], results);
  }
}

absl::Status Run(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(const Safetensors file, ReadSafetensors(from));
  Results results;
  int c = 0;
  for (const Json& spec : Json::parse(file.metadata.at("cases"))) {
    const std::string prefix = absl::StrCat(c++, ".");
    std::vector<Tensor> outputs, targets;
    for (int i = 0; i < spec.at("models"); ++i) {
      const std::string model = absl::StrCat(prefix, i, ".");
      outputs.push_back(file.tensors.at(model + "outputs").Borrow());
      if (i > 0 && spec.at("shared")) continue;
      targets.push_back(file.tensors.at(model + "targets").Borrow());
    }
    if (spec.contains("sigmoid")) {
      RegressionOptions options;
      options.sigmoid = spec.at("sigmoid");
      MB_ASSIGN_OR_RETURN(const auto all,
                          ComputeRegressionMetrics(outputs, targets, options));
      AddAll(prefix, all, &results);
    } else {
      ClassificationOptions options;
      options.ignore_index = spec.at("ignore_index");
      options.top_k = spec.at("top_k");
      MB_ASSIGN_OR_RETURN(const auto all, ComputeClassificationMetrics(
                                              outputs, targets, options));
      AddAll(prefix, all, &results);
    }
  }
  return results.Write(to);
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
