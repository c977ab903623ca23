#include "modelbatch/train/read_data.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/data/cifar_reader.h"
#include "modelbatch/data/concatenate.h"
#include "modelbatch/data/csv_reader.h"
#include "modelbatch/data/idx_reader.h"
#include "modelbatch/data/npy_reader.h"
#include "modelbatch/data/numeric_array.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status At(const ExperimentConfig& config, const std::string& path,
                const absl::Status& status) {
  if (status.ok()) return status;
  return config.source.Error(path, std::string(status.message()),
                             status.code());
}

// The key that the messages of a reader are about.
std::string PlaceOf(const std::string& table, const DataFiles& files) {
  if (!files.path.empty()) return table + ".path";
  return files.files.empty() ? table : table + ".files";
}

absl::StatusOr<DataTable> ReadCsvFile(const DataConfig& data,
                                      const DataFiles& files,
                                      int64_t ignored_class) {
  CsvOptions options;
  options.header = files.header;
  options.label = files.label;
  options.classes = data.classification;
  options.ignored_class = ignored_class;
  options.scale = data.scale;
  return ReadCsv(files.path, options);
}

absl::StatusOr<DataTable> ReadCifarFiles(const DataConfig& data,
                                         const DataFiles& files) {
  CifarOptions options;
  if (data.format == "cifar100") {
    options.labels = files.label[0].name == "coarse"
                         ? CifarLabels::kCifar100Coarse
                         : CifarLabels::kCifar100Fine;
  }
  options.scale = data.scale;
  return ReadCifar(files.files, options);
}

// Features and targets, of the formats that have them as arrays.
absl::StatusOr<std::vector<NumericArray>> ReadArrays(
    const ExperimentConfig& config, const std::string& table,
    const DataFiles& files) {
  const std::string& format = config.data.format;
  if (format == "npz") {
    auto arrays = ReadNpz(files.path, {files.features, files.targets});
    if (!arrays.ok()) return At(config, table + ".path", arrays.status());
    return arrays;
  }
  std::vector<NumericArray> arrays;
  for (const auto& [key, path] : FilePaths(table, format, files)) {
    auto array = format == "npy" ? ReadNpy(path) : ReadIdx(path);
    if (!array.ok()) return At(config, key, array.status());
    arrays.push_back(*std::move(array));
  }
  return arrays;
}

absl::StatusOr<DataTable> ReadTable(const ExperimentConfig& config,
                                    const LossSettings& loss,
                                    const std::string& table_name,
                                    const DataFiles& files) {
  const DataConfig& data = config.data;
  absl::StatusOr<DataTable> table;
  if (data.format == "csv") {
    table = ReadCsvFile(data, files, loss.ignore_index);
  } else if (!files.files.empty()) {
    table = ReadCifarFiles(data, files);
  } else {
    MB_ASSIGN_OR_RETURN(const std::vector<NumericArray> arrays,
                        ReadArrays(config, table_name, files));
    table =
        TableFromArrays(arrays[0], arrays[1],
                        {data.classification, data.scale, loss.ignore_index});
  }
  if (!table.ok()) {
    return At(config, PlaceOf(table_name, files), table.status());
  }
  return table;
}

// bce_with_logits: every target is in [0, 1].
absl::Status CheckProbabilities(const DataTable& table) {
  const int64_t columns = table.targets.shape()[1];
  for (int64_t e = 0; e < table.targets.size(); ++e) {
    const float target = table.targets.data<float>()[e];
    if (IsProbability(target)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(table.where(e / columns), ": target ", e % columns, " is ",
                     target, ", bce_with_logits expects 0 to 1"));
  }
  return absl::OkStatus();
}

std::vector<int32_t> Range(int64_t begin, int64_t size) {
  std::vector<int32_t> rows(size);
  std::iota(rows.begin(), rows.end(), static_cast<int32_t>(begin));
  return rows;
}

}  // namespace

const char* DataPlace(const DataConfig& data) {
  if (data.validation.has_value() || data.test.has_value()) return "data";
  if (!data.main.path.empty()) return "data.path";
  return data.main.files.empty() ? "data" : "data.files";
}

absl::StatusOr<ExperimentRows> ReadRows(const ExperimentConfig& config) {
  MB_ASSIGN_OR_RETURN(const LossSettings loss, ReadLoss(config.loss));
  const DataConfig& data = config.data;
  std::vector<DataTable> tables;
  const auto read = [&](const std::string& name, const DataFiles& files) {
    absl::StatusOr<DataTable> table = ReadTable(config, loss, name, files);
    if (!table.ok()) return table.status();
    tables.push_back(*std::move(table));
    if (loss.kind != LossKind::kBceWithLogits) return absl::OkStatus();
    return At(config, PlaceOf(name, files), CheckProbabilities(tables.back()));
  };
  MB_RETURN_IF_ERROR(read("data", data.main));
  ExperimentRows rows;
  absl::StatusOr<Split> split = SplitRows(
      tables[0], {data.split.train, data.split.validation, data.split.test},
      data.split.stratified, data.split.seed);
  if (!split.ok()) return At(config, "data.split", split.status());
  rows.split = *std::move(split);
  // Rows are numbered through all files.
  const auto add = [&](const std::string& name,
                       const std::optional<DataFiles>& files,
                       std::vector<int32_t>* part) -> absl::Status {
    if (!files.has_value()) return absl::OkStatus();
    MB_RETURN_IF_ERROR(read(name, *files));
    const int64_t count = tables.back().rows();
    absl::StatusOr<DataTable> joined = Concatenate(std::move(tables));
    if (!joined.ok()) {
      return config.source.Error(
          PlaceOf(name, *files),
          absl::StrCat(FilePaths(name, data.format, *files)[0].second,
                       " does not fit ",
                       FilePaths("data", data.format, data.main)[0].second,
                       ": ", std::string(joined.status().message())));
    }
    *part = Range(joined->rows() - count, count);
    tables.clear();
    tables.push_back(*std::move(joined));
    return absl::OkStatus();
  };
  MB_RETURN_IF_ERROR(
      add("data.validation", data.validation, &rows.split.validation));
  MB_RETURN_IF_ERROR(add("data.test", data.test, &rows.split.test));
  rows.table = std::move(tables[0]);
  return rows;
}

}  // namespace modelbatch
