#include "modelbatch/config/data_reader.h"

#include <filesystem>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "modelbatch/config/data_files.h"
#include "modelbatch/config/split_reader.h"

namespace modelbatch {
namespace {

constexpr double kMaxDouble = std::numeric_limits<double>::max();

// `[data.validation]` or `[data.test]`, when it is there.
std::optional<DataFiles> ReadPart(TableReader* data, const char* name,
                                  const DataConfig& config) {
  if (data->Find(name) == nullptr) return std::nullopt;
  TableReader table = data->Table(name);
  const DataFiles files = ReadDataFiles(&table, config.format, &config.main);
  table.Finish();
  const DataFiles& main = config.main;
  if (table.ok() && config.format == "npz" && files.path == main.path &&
      files.features == main.features && files.targets == main.targets) {
    data->Fail(name,
               "has the rows of data itself, expected another path or other "
               "features and targets");
  }
  return files;
}

}  // namespace

DataConfig ReadData(TableReader* root, const std::string& folder) {
  TableReader table = root->Table("data");
  DataConfig data;
  data.format = ReadFormat(&table);
  data.main = ReadDataFiles(&table, data.format, nullptr);
  data.validation = ReadPart(&table, "validation", data);
  data.test = ReadPart(&table, "test", data);
  for (const auto& [key, path] : DataPaths(&data)) {
    if (path->empty()) continue;
    *path = (std::filesystem::path(folder) / *path).lexically_normal().string();
  }
  data.classification =
      table.OneOf("task", {"classification", "regression"}) == "classification";
  if (!data.classification && !data.main.files.empty()) {
    table.Fail("task", absl::StrCat("is \"regression\", but the labels of ",
                                    data.format, " are classes"));
  }
  if (data.classification && data.main.label.size() > 1) {
    table.Fail("label", "expected one column: the task is classification");
  }
  data.scale = table.Number("scale", 1, -kMaxDouble, kMaxDouble);
  ReadFolds(&table, &data);
  ReadSplit(&table, &data);
  table.Finish();
  return data;
}

}  // namespace modelbatch
