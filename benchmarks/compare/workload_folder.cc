#include "benchmarks/compare/workload_folder.h"

#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch::benchmarks {
namespace {

nlohmann::json ModelJson(const Workload& workload, int model) {
  nlohmann::json json = {{"rate", workload.rates[model]},
                         {"seed", workload.seeds[model]},
                         {"operators", nlohmann::json::array()},
                         {"parameters", nlohmann::json::array()}};
  for (const Operator& op : workload.specs[model].operators()) {
    nlohmann::json attributes = nlohmann::json::object();
    for (const auto& [name, value] : op.attributes) {
      std::visit([&, name = name](const auto& v) { attributes[name] = v; },
                 value);
    }
    json["operators"].push_back({{"name", op.name},
                                 {"kind", op.kind},
                                 {"inputs", op.inputs},
                                 {"attributes", std::move(attributes)}});
  }
  for (const Parameter& parameter : workload.layouts[model].parameters) {
    json["parameters"].push_back(
        {{"name", parameter.name}, {"shape", parameter.shape}});
  }
  return json;
}

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  absl::Status Write(const std::string& name, const void* data, size_t bytes) {
    const std::string path = absl::StrCat(path_, "/", name);
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char*>(data),
               static_cast<std::streamsize>(bytes));
    file.close();
    if (file) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("cannot write ", path));
  }

  template <typename T>
  absl::Status Write(const std::string& name, const std::vector<T>& values) {
    return Write(name, values.data(), values.size() * sizeof(T));
  }

 private:
  const std::string path_;
};

}  // namespace

absl::Status WriteWorkload(const std::string& folder,
                           const Workload& workload) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot make ", folder, ": ", error.message()));
  }
  nlohmann::json json = {{"name", workload.name},
                         {"input", workload.input},
                         {"classes", workload.classes},
                         {"max_rows", workload.max_rows},
                         {"batches", Workload::kBatches},
                         {"steps", Workload::kSteps},
                         {"offsets", workload.batches[0].offsets},
                         {"models", nlohmann::json::array()}};
  std::vector<float> initial;
  for (int i = 0; i < workload.models(); ++i) {
    json["models"].push_back(ModelJson(workload, i));
    initial.insert(initial.end(), workload.initial[i].begin(),
                   workload.initial[i].end());
  }
  std::vector<int32_t> rows;
  for (const RoutedRows& batch : workload.batches) {
    rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
  }
  const std::string text = json.dump(1);
  Folder files(folder);
  MB_RETURN_IF_ERROR(files.Write("workload.json", text.data(), text.size()));
  MB_RETURN_IF_ERROR(files.Write("features", workload.features));
  MB_RETURN_IF_ERROR(files.Write("labels", workload.labels));
  MB_RETURN_IF_ERROR(files.Write("initial", initial));
  return files.Write("rows", rows);
}

}  // namespace modelbatch::benchmarks
