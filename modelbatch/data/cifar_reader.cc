#include "modelbatch/data/cifar_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kImageBytes = 3 * 32 * 32;

struct Layout {
  int64_t label_bytes;  // before the image
  int64_t label_at;     // the one that is wanted
  int classes;
};

Layout LayoutOf(CifarLabels labels) {
  switch (labels) {
    case CifarLabels::kCifar10:
      return {1, 0, 10};
    case CifarLabels::kCifar100Coarse:
      return {2, 0, 20};
    case CifarLabels::kCifar100Fine:
      return {2, 1, 100};
  }
  return {};
}

}  // namespace

absl::StatusOr<DataTable> ReadCifar(const std::vector<std::string>& paths,
                                    const CifarOptions& options) {
  const Layout layout = LayoutOf(options.labels);
  const int64_t record_bytes = layout.label_bytes + kImageBytes;
  float pixels[256];
  for (int i = 0; i < 256; ++i) {
    pixels[i] = static_cast<float>(i * options.scale);
    if (!std::isfinite(pixels[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the scale ", options.scale, " is too large"));
    }
  }
  std::vector<float> features;
  std::vector<int64_t> classes;
  std::vector<std::pair<std::string, int64_t>> files;  // name, first row
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": is a folder, expected a CIFAR file"));
    }
    MB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
    const int64_t size = static_cast<int64_t>(bytes.size());
    if (size == 0 || size % record_bytes != 0) {
      return absl::DataLossError(
          absl::StrCat(path, ": not a valid CIFAR file: it has ", size,
                       " bytes, expected records of ", record_bytes));
    }
    files.emplace_back(path, classes.size());
    if (static_cast<int64_t>(classes.size()) > kMaxRows - size / record_bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": more than ", kMaxRows, " rows"));
    }
    for (int64_t at = 0; at < size; at += record_bytes) {
      const auto byte = [&](int64_t i) {
        return static_cast<uint8_t>(bytes[at + i]);
      };
      const int label = byte(layout.label_at);
      if (label >= layout.classes) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": record ", at / record_bytes, ", byte ",
            at + layout.label_at, ": label ", label,
            " is out of range, expected 0 to ", layout.classes - 1));
      }
      classes.push_back(label);
      for (int64_t i = 0; i < kImageBytes; ++i) {
        features.push_back(pixels[byte(layout.label_bytes + i)]);
      }
    }
  }
  const int64_t rows = static_cast<int64_t>(classes.size());
  if (rows == 0) return absl::InvalidArgumentError("no CIFAR file was given");
  DataTable table;
  table.num_classes = *std::max_element(classes.begin(), classes.end()) + 1;
  table.features = Tensor::FromVector(features, {rows, 3, 32, 32});
  table.targets = Tensor::FromVector(classes, {rows});
  table.where = [files = std::move(files)](int64_t row) {
    auto file = files.rbegin();
    while (file->second > row) ++file;
    return absl::StrCat(file->first, ": record ", row - file->second);
  };
  return table;
}

}  // namespace modelbatch
