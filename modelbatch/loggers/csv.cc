#include "modelbatch/loggers/csv.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/loggers/line_file.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

std::optional<int64_t> StepOfLine(std::string_view line) {
  const std::optional<int64_t> step = TakeNumber(&line);
  return line.substr(0, 1) == "," ? step : std::nullopt;
}

class CsvLogger : public MetricsLogger {
 public:
  CsvLogger(LineFile file, std::vector<std::string> metrics, int64_t last_step)
      : MetricsLogger(last_step),
        file_(std::move(file)),
        metrics_(std::move(metrics)) {}

  absl::Status Flush() override { return file_.Flush(); }

 private:
  absl::Status Write(const MetricsEntry& entry) override {
    std::vector<const Column*> columns(metrics_.size(), nullptr);
    for (const Column& metric : entry.metrics) {
      const auto it = std::find(metrics_.begin(), metrics_.end(), metric.name);
      if (it == metrics_.end()) {
        return absl::InvalidArgumentError(absl::StrCat(
            file_.path(), " has no column for the metric \"", metric.name,
            "\"; it has: ", absl::StrJoin(metrics_, ", ")));
      }
      columns[it - metrics_.begin()] = &metric;
    }
    std::string lines;
    for (size_t i = 0; i < entry.models.size(); ++i) {
      absl::StrAppend(&lines, entry.step, ",", entry.epoch, ",",
                      entry.models[i]);
      for (const Column* column : columns) {
        lines.push_back(',');
        if (column != nullptr) AppendNumber(column->values[i], &lines);
      }
      lines.push_back('\n');
    }
    return file_.Add(lines);
  }

  LineFile file_;
  std::vector<std::string> metrics_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenCsvLogger(
    const std::string& path, std::vector<std::string> metrics,
    std::optional<int64_t> resume_step) {
  std::vector<std::string> columns = {"step", "epoch", "model"};
  for (const std::string& metric : metrics) {
    if (metric.empty() ||
        metric.find_first_of(",\"\r\n") != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("the column \"", metric,
                       "\" is empty or has a comma, a quote or a line's end"));
    }
    if (std::find(columns.begin(), columns.end(), metric) != columns.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the column \"", metric, "\" is there twice"));
    }
    columns.push_back(metric);
  }
  const std::string header = absl::StrJoin(columns, ",") + "\n";
  MB_ASSIGN_OR_RETURN(LineFile file,
                      LineFile::Open(path, header, resume_step, StepOfLine));
  return std::make_unique<CsvLogger>(std::move(file), std::move(metrics),
                                     resume_step.value_or(0));
}

}  // namespace modelbatch
