#include "modelbatch/config/data_files.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/toml_document.h"

namespace modelbatch {
namespace {

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

std::vector<ColumnRef> ReadLabel(TableReader* data, bool header,
                                 const std::vector<ColumnRef>& by_default) {
  const toml::node* node = data->Find("label");
  if (node == nullptr) {
    for (const ColumnRef& column : by_default) {
      if (header || column.name.empty()) continue;
      data->Fail("header", absl::StrCat("is false, but data.label is a name, "
                                        "\"",
                                        column.name, "\""));
    }
    return by_default;
  }
  std::vector<ColumnRef> columns;
  const auto add = [&](const toml::node& value, const std::string& path) {
    if (const auto* index = value.as_integer()) {
      columns.push_back({**index, ""});
    } else if (const auto* name = value.as_string()) {
      if (!header) {
        data->FailAt(path, absl::StrCat("found a name, \"", **name, "\", but ",
                                        data->PathOf("header"),
                                        " is false: expected a column's "
                                        "index"));
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

// A path, or a name, which need not be there where the main files have it.
std::string TextOr(TableReader* table, const char* key,
                   const std::string& by_default) {
  if (table->Find(key) == nullptr && !by_default.empty()) return by_default;
  return NonEmpty(table, key);
}

}  // namespace

std::string ReadFormat(TableReader* data) {
  if (data->Find("format") == nullptr) return DefaultFormat(data);
  return data->OneOf("format", FormatNames());
}

DataFiles ReadDataFiles(TableReader* table, const std::string& format,
                        const DataFiles* main) {
  RefuseOtherKeys(table, format);
  DataFiles files;
  if (format == "csv") {
    files.path = NonEmpty(table, "path");
    files.header = table->Bool("header", main != nullptr && main->header);
    files.label = ReadLabel(
        table, files.header,
        main != nullptr ? main->label : std::vector{ColumnRef{-1, ""}});
  } else if (format == "npz") {
    // One archive may have all arrays.
    static const auto* const kNone = new DataFiles();
    const DataFiles& other = main == nullptr ? *kNone : *main;
    files.path = TextOr(table, "path", other.path);
    files.features = TextOr(table, "features", other.features);
    files.targets = TextOr(table, "targets", other.targets);
  } else if (format == "npy" || format == "idx") {
    files.features = NonEmpty(table, "features");
    files.targets = NonEmpty(table, "targets");
  } else {
    files.files = ReadFiles(table);
    if (main != nullptr) {
      files.label = main->label;
    } else if (format == "cifar100") {
      files.label = {{0, table->OneOf("label", {"fine", "coarse"})}};
    }
  }
  return files;
}

std::vector<std::string> DataKeys(const std::string& format) {
  for (const Format& known : Formats()) {
    if (format == known.name) return known.keys;
  }
  return {};
}

std::vector<std::pair<std::string, std::string*>> FilePaths(
    const std::string& table, const std::string& format, DataFiles* files) {
  if (format == "csv" || format == "npz") {
    return {{table + ".path", &files->path}};
  }
  if (format == "npy" || format == "idx") {
    return {{table + ".features", &files->features},
            {table + ".targets", &files->targets}};
  }
  std::vector<std::pair<std::string, std::string*>> paths;
  for (size_t i = 0; i < files->files.size(); ++i) {
    paths.emplace_back(absl::StrCat(table, ".files[", i, "]"),
                       &files->files[i]);
  }
  return paths;
}

std::vector<std::pair<std::string, std::string>> FilePaths(
    const std::string& table, const std::string& format,
    const DataFiles& files) {
  DataFiles copy = files;
  std::vector<std::pair<std::string, std::string>> paths;
  for (const auto& [key, path] : FilePaths(table, format, &copy)) {
    paths.emplace_back(key, *path);
  }
  return paths;
}

std::vector<std::pair<std::string, std::string*>> DataPaths(DataConfig* data) {
  auto paths = FilePaths("data", data->format, &data->main);
  const auto add = [&](const char* table, std::optional<DataFiles>* files) {
    if (!files->has_value()) return;
    for (const auto& path : FilePaths(table, data->format, &**files)) {
      paths.push_back(path);
    }
  };
  add("data.validation", &data->validation);
  add("data.test", &data->test);
  return paths;
}

std::vector<std::pair<std::string, std::string>> DataPaths(
    const DataConfig& data) {
  DataConfig copy = data;
  std::vector<std::pair<std::string, std::string>> paths;
  for (const auto& [key, path] : DataPaths(&copy)) {
    paths.emplace_back(key, *path);
  }
  return paths;
}

}  // namespace modelbatch
