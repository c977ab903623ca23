#include "modelbatch/train/new_rows.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/data/cifar_reader.h"
#include "modelbatch/data/concatenate.h"
#include "modelbatch/data/csv_reader.h"
#include "modelbatch/data/idx_reader.h"
#include "modelbatch/data/npy_reader.h"
#include "modelbatch/data/numeric_array.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckOptions(const DataConfig& data, const NewRowsFiles& files) {
  const auto unwanted = [&](const char* option, const char* formats) {
    return absl::InvalidArgumentError(absl::StrCat(
        option, " is for runs on ", formats,
        ", this one was trained on the format \"", data.format, "\""));
  };
  const bool arrays = data.format == "npy" || data.format == "idx";
  if (!files.features.empty() && data.format != "npz") {
    return unwanted("--features", "npz");
  }
  if (!files.targets.empty() && data.format != "npz" && !arrays) {
    return unwanted("--targets", "npy, npz and idx");
  }
  if (files.paths.empty() ||
      (files.paths.size() > 1 && data.main.files.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.paths.size(),
                     " files of rows, expected one of the "
                     "format \"",
                     data.format, "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<DataTable> ReadCsvRows(const TrainedRun& run,
                                      const std::string& path,
                                      int64_t ignored_class) {
  const DataConfig& data = run.experiment.config.data;
  CsvOptions options;
  options.header = data.main.header;
  options.label = data.main.label;
  options.classes = data.classification;
  options.ignored_class = ignored_class;
  options.scale = data.scale;
  options.features = NumElements(run.input_shape());
  MB_ASSIGN_OR_RETURN(DataTable table, ReadCsv(path, options));
  const absl::Status same =
      CheckSameNames(table.feature_names, run.feature_names);
  if (same.ok()) return table;
  return absl::InvalidArgumentError(
      absl::StrCat(path, " does not fit the data that the run was trained on: ",
                   std::string(same.message())));
}

absl::StatusOr<DataTable> ReadCifarRows(const DataConfig& data,
                                        const std::vector<std::string>& paths) {
  CifarOptions options;
  if (data.format == "cifar100") {
    options.labels = data.main.label[0].name == "coarse"
                         ? CifarLabels::kCifar100Coarse
                         : CifarLabels::kCifar100Fine;
  }
  options.scale = data.scale;
  return ReadCifar(paths, options);
}

// Features, and targets where there are some.
absl::StatusOr<std::vector<NumericArray>> ReadArrays(
    const DataConfig& data, const NewRowsFiles& files) {
  const std::string& path = files.paths[0];
  if (data.format == "npz") {
    std::vector<std::string> names = {
        files.features.empty() ? data.main.features : files.features};
    if (!files.targets.empty()) {
      names.push_back(files.targets);
    } else {
      MB_ASSIGN_OR_RETURN(const std::vector<std::string> there, NpzNames(path));
      if (std::find(there.begin(), there.end(), data.main.targets) !=
          there.end()) {
        names.push_back(data.main.targets);
      }
    }
    return ReadNpz(path, names);
  }
  std::vector<NumericArray> arrays;
  for (const std::string& file : {path, files.targets}) {
    if (file.empty()) continue;
    MB_ASSIGN_OR_RETURN(NumericArray array,
                        data.format == "npy" ? ReadNpy(file) : ReadIdx(file));
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace

absl::StatusOr<DataTable> ReadNewRows(const TrainedRun& run,
                                      const NewRowsFiles& files) {
  const DataConfig& data = run.experiment.config.data;
  MB_RETURN_IF_ERROR(CheckOptions(data, files));
  MB_ASSIGN_OR_RETURN(const LossSettings loss,
                      ReadLoss(run.experiment.config.loss));
  if (data.format == "csv") {
    return ReadCsvRows(run, files.paths[0], loss.ignore_index);
  }
  absl::StatusOr<DataTable> table;
  if (!data.main.files.empty()) {
    table = ReadCifarRows(data, files.paths);
  } else {
    MB_ASSIGN_OR_RETURN(const std::vector<NumericArray> arrays,
                        ReadArrays(data, files));
    table = arrays.size() == 1
                ? TableFromFeatures(arrays[0], data.scale)
                : TableFromArrays(
                      arrays[0], arrays[1],
                      {data.classification, data.scale, loss.ignore_index});
  }
  if (!table.ok()) return table.status();
  if (NumElements(table->row_shape()) != NumElements(run.input_shape())) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.paths[0], ": rows of the shape ",
                     ShapeToString(table->row_shape()), ", expected ",
                     NumElements(run.input_shape()),
                     " numbers a row, as in the data that "
                     "the run was trained on"));
  }
  return table;
}

}  // namespace modelbatch
