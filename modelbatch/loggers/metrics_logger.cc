#include "modelbatch/loggers/metrics_logger.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "modelbatch/io/utf8.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Every kind writes names as text of one line, beside these of its own.
absl::Status CheckName(const std::string& name) {
  for (const char* own : {"step", "epoch", "model"}) {
    if (name != own) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "a metric is named \"", own, "\", which every entry has of itself"));
  }
  const bool control =
      std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!name.empty() && !control && IsValidUtf8(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a metric's name is \"", name,
                   "\", expected UTF-8 text without control characters"));
}

absl::Status CheckEntry(const MetricsEntry& entry, int64_t last_step) {
  if (entry.step < std::max<int64_t>(last_step, 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics of step ", entry.step, " after those of step ",
                     std::max<int64_t>(last_step, 0),
                     ", expected steps that do not decrease"));
  }
  for (const int64_t model : entry.models) {
    if (model >= 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "metrics of model ", model, ", expected an id of at least 0"));
  }
  for (size_t i = 0; i < entry.metrics.size(); ++i) {
    const Column& metric = entry.metrics[i];
    MB_RETURN_IF_ERROR(CheckName(metric.name));
    if (metric.values.size() != entry.models.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "metric \"", metric.name, "\" has ", metric.values.size(),
          " values, expected one for each "
          "of ",
          entry.models.size(), " models"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (entry.metrics[j].name != metric.name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("metric \"", metric.name, "\" is there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MetricsLogger::Log(const MetricsEntry& entry) {
  MB_RETURN_IF_ERROR(CheckEntry(entry, last_step_));
  MB_RETURN_IF_ERROR(Write(entry));
  last_step_ = entry.step;
  return absl::OkStatus();
}

absl::Status MetricsLogger::LogHyperParameters(int64_t, const Attributes&) {
  return absl::OkStatus();
}

}  // namespace modelbatch
