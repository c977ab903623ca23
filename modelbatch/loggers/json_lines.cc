#include "modelbatch/loggers/json_lines.h"

#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/loggers/line_file.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

constexpr std::string_view kBegin = "{\"step\":";

std::optional<int64_t> StepOfLine(std::string_view line) {
  if (line.substr(0, kBegin.size()) != kBegin || line.back() != '}') {
    return std::nullopt;
  }
  line.remove_prefix(kBegin.size());
  const std::optional<int64_t> step = TakeNumber(&line);
  return line.substr(0, 1) == "," ? step : std::nullopt;
}

class JsonLinesLogger : public MetricsLogger {
 public:
  JsonLinesLogger(LineFile file, int64_t last_step)
      : MetricsLogger(last_step), file_(std::move(file)) {}

  absl::Status Flush() override { return file_.Flush(); }

 private:
  absl::Status Write(const MetricsEntry& entry) override {
    std::vector<std::string> keys;
    for (const Column& metric : entry.metrics) {
      keys.push_back(
          absl::StrCat(",", nlohmann::json(metric.name).dump(), ":"));
    }
    std::string lines;
    for (size_t i = 0; i < entry.models.size(); ++i) {
      absl::StrAppend(&lines, kBegin.data(), entry.step,
                      ",\"epoch\":", entry.epoch,
                      ",\"model\":", entry.models[i]);
      for (size_t m = 0; m < keys.size(); ++m) {
        lines.append(keys[m]);
        const double value = entry.metrics[m].values[i];
        if (std::isfinite(value)) {
          AppendNumber(value, &lines);
        } else {
          lines.append("null");
        }
      }
      lines.append("}\n");
    }
    return file_.Add(lines);
  }

  LineFile file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenJsonLinesLogger(
    const std::string& path, std::optional<int64_t> resume_step) {
  MB_ASSIGN_OR_RETURN(LineFile file,
                      LineFile::Open(path, "", resume_step, StepOfLine));
  return std::make_unique<JsonLinesLogger>(std::move(file),
                                           resume_step.value_or(0));
}

}  // namespace modelbatch
