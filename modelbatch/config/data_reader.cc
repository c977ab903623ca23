#include "modelbatch/config/data_reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/toml_document.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr double kMaxDouble = std::numeric_limits<double>::max();

struct Format {
  const char* name;
  std::vector<std::string> keys;  // beside those that all have
};

const std::vector<Format>& Formats() {
  static const auto* const kFormats = new std::vector<Format>{
      {"csv", {"path", "header", "label"}},
      {"npy", {"features", "targets"}},
      {"npz", {"path", "features", "targets"}},
      {"idx", {"features", "targets"}},
      {"cifar10", {"files"}},
      {"cifar100", {"files", "label"}},
  };
  return *kFormats;
}

std::vector<std::string> FormatNames() {
  std::vector<std::string> names;
  for (const Format& format : Formats()) names.push_back(format.name);
  return names;
}

// A string's value, without a complaint about another type: that comes later.
std::string Peek(TableReader* data, const char* key) {
  const toml::node* node = data->Find(key);
  return node == nullptr ? "" : node->value_or(std::string());
}

// By the keys that are there and the extension of the file.
std::string DefaultFormat(TableReader* data) {
  const auto ends = [](const std::string& path, const char* end) {
    return absl::EndsWithIgnoreCase(path, end);
  };
  if (data->Find("files") != nullptr) return "cifar10";
  if (data->Find("path") != nullptr) {
    const std::string path = Peek(data, "path");
    return ends(path, ".npz") ? "npz" : ends(path, ".npy") ? "npy" : "csv";
  }
  const std::string features = Peek(data, "features");
  if (ends(features, ".npy")) return "npy";
  // As MNIST's files are called: train-images-idx3-ubyte.gz.
  for (const char* end : {".idx", "-ubyte", ".idx.gz", "-ubyte.gz"}) {
    if (ends(features, end)) return "idx";
  }
  if (!features.empty()) {
    data->Fail("format",
               absl::StrCat("missing: the name of data.features, \"", features,
                            "\", does not tell; expected one of: ",
                            absl::StrJoin(FormatNames(), ", ")));
  }
  return "csv";
}

// Keys of other formats are no typing errors, but mistakes.
void RefuseOtherKeys(TableReader* data, const std::string& format) {
  const std::vector<std::string> own = DataKeys(format);
  for (const Format& other : Formats()) {
    for (const std::string& key : other.keys) {
      if (std::find(own.begin(), own.end(), key) == own.end() &&
          data->Find(key) != nullptr) {
        data->Fail(key,
                   absl::StrCat("does not belong to the format \"", format,
                                "\", which has: ", absl::StrJoin(own, ", ")));
      }
    }
  }
}

std::string NonEmpty(TableReader* data, const char* key) {
  const std::string value = data->String(key);
  if (data->ok() && value.empty()) data->Fail(key, "is empty");
  return value;
}

std::vector<std::string> ReadFiles(TableReader* data) {
  const toml::node* node = data->Find("files");
  if (node == nullptr) {
    data->Missing("files", "an array of strings");
    return {};
  }
  std::vector<std::string> files;
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty()) {
    data->Fail("files", absl::StrCat("expected an array of paths, found ",
                                     array == nullptr ? DescribeToml(*node)
                                                      : "an empty one"));
    return {};
  }
  for (size_t i = 0; i < array->size(); ++i) {
    const auto* path = array->get(i)->as_string();
    if (path == nullptr || (**path).empty()) {
      data->FailAt(absl::StrCat(data->PathOf("files"), "[", i, "]"),
                   absl::StrCat("expected a path, found ",
                                DescribeToml(*array->get(i))));
      continue;
    }
    files.push_back(**path);
  }
  return files;
}

std::vector<ColumnRef> ReadLabel(TableReader* data, bool header) {
  const toml::node* node = data->Find("label");
  if (node == nullptr) return {ColumnRef{-1, ""}};
  std::vector<ColumnRef> columns;
  const auto add = [&](const toml::node& value, const std::string& path) {
    if (const auto* index = value.as_integer()) {
      columns.push_back({**index, ""});
    } else if (const auto* name = value.as_string()) {
      if (!header) {
        data->FailAt(path, absl::StrCat("found a name, \"", **name,
                                        "\", but data.header is false: "
                                        "expected a column's index"));
      }
      columns.push_back({0, **name});
    } else {
      data->FailAt(path, absl::StrCat("expected a column's index or name, "
                                      "found ",
                                      DescribeToml(value)));
    }
  };
  const std::string path = data->PathOf("label");
  if (const toml::array* array = node->as_array()) {
    for (size_t i = 0; i < array->size(); ++i) {
      add(*array->get(i), absl::StrCat(path, "[", i, "]"));
    }
    if (array->empty()) data->Fail("label", "expected at least one column");
  } else {
    add(*node, path);
  }
  return columns;
}

SplitConfig ReadSplit(TableReader* data) {
  TableReader table = data->Table("split");
  SplitConfig split;
  split.train = table.Number("train", split.train, 0, 1);
  split.validation = table.Number("validation", split.validation, 0, 1);
  split.test = table.Number("test", split.test, 0, 1);
  split.stratified = table.Bool("stratified", split.stratified);
  split.seed = table.Int("seed", 0, 0, kMaxInt);
  table.Finish();
  const double sum = split.train + split.validation + split.test;
  if (table.ok() && std::abs(sum - 1) > 1e-6) {
    data->Fail("split", absl::StrCat("train + validation + test is ", sum,
                                     ", expected 1"));
  }
  if (table.ok() && split.train == 0) {
    table.Fail("train", "is 0, expected a part of the rows to train on");
  }
  return split;
}

void ReadFormat(TableReader* data, DataConfig* config) {
  if (data->Find("format") == nullptr) {
    config->format = DefaultFormat(data);
  } else {
    config->format = data->OneOf("format", FormatNames());
  }
  RefuseOtherKeys(data, config->format);
  const std::string& format = config->format;
  if (format == "csv" || format == "npz") config->path = NonEmpty(data, "path");
  if (format == "csv") {
    config->header = data->Bool("header", config->header);
    config->label = ReadLabel(data, config->header);
  } else if (format == "cifar10" || format == "cifar100") {
    config->files = ReadFiles(data);
    if (format == "cifar100") {
      config->label = {{0, data->OneOf("label", {"fine", "coarse"})}};
    }
  } else {
    config->features = NonEmpty(data, "features");
    config->targets = NonEmpty(data, "targets");
  }
}

}  // namespace

std::vector<std::string> DataKeys(const std::string& format) {
  for (const Format& known : Formats()) {
    if (format == known.name) return known.keys;
  }
  return {};
}

std::vector<std::pair<std::string, std::string*>> DataPaths(DataConfig* data) {
  if (data->format == "csv" || data->format == "npz") {
    return {{"data.path", &data->path}};
  }
  if (data->format == "npy" || data->format == "idx") {
    return {{"data.features", &data->features},
            {"data.targets", &data->targets}};
  }
  std::vector<std::pair<std::string, std::string*>> paths;
  for (size_t i = 0; i < data->files.size(); ++i) {
    paths.emplace_back(absl::StrCat("data.files[", i, "]"), &data->files[i]);
  }
  return paths;
}

std::vector<std::pair<std::string, std::string>> DataPaths(
    const DataConfig& data) {
  DataConfig copy = data;
  std::vector<std::pair<std::string, std::string>> paths;
  for (const auto& [key, path] : DataPaths(&copy))
    paths.emplace_back(key, *path);
  return paths;
}

DataConfig ReadData(TableReader* root, const std::string& folder) {
  TableReader table = root->Table("data");
  DataConfig data;
  ReadFormat(&table, &data);
  for (const auto& [key, path] : DataPaths(&data)) {
    if (path->empty()) continue;
    *path = (std::filesystem::path(folder) / *path).lexically_normal().string();
  }
  data.classification =
      table.OneOf("task", {"classification", "regression"}) == "classification";
  if (!data.classification && !data.files.empty()) {
    table.Fail("task", absl::StrCat("is \"regression\", but the labels of ",
                                    data.format, " are classes"));
  }
  if (data.classification && data.label.size() > 1) {
    table.Fail("label", "expected one column: the task is classification");
  }
  data.scale = table.Number("scale", 1, -kMaxDouble, kMaxDouble);
  data.split = ReadSplit(&table);
  if (table.ok() && !data.classification && data.split.stratified) {
    if (table.source().Where("data.split.stratified") !=
        table.source().Where("data.split")) {
      table.FailAt("data.split.stratified",
                   "is true, but regression has no classes to keep in "
                   "proportion");
    }
    data.split.stratified = false;
  }
  table.Finish();
  return data;
}

}  // namespace modelbatch
