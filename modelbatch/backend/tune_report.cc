#include "modelbatch/backend/tune_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace modelbatch {

const char* TuneOriginName(TuneOrigin origin) {
  switch (origin) {
    case TuneOrigin::kDefault:
      return "default";
    case TuneOrigin::kMeasured:
      return "measured";
    case TuneOrigin::kCached:
      return "cached";
  }
  return "unknown";
}

int64_t TuneReport::Count(TuneOrigin origin) const {
  int64_t count = 0;
  for (const TuneChoice& choice : choices) count += choice.origin == origin;
  return count;
}

double TuneReport::Ratio() const {
  double chosen = 0, standard = 0;
  for (const TuneChoice& choice : choices) {
    if (choice.default_seconds <= 0) continue;
    chosen += static_cast<double>(choice.uses) * choice.seconds;
    standard += static_cast<double>(choice.uses) * choice.default_seconds;
  }
  return standard > 0 ? chosen / standard : 1;
}

std::string TuneReport::ToString() const {
  std::string text = absl::StrFormat(
      "tuned in %.3f s: %d operations, %d measured, %d cached, %d default; "
      "%.2f of the default's time\n",
      seconds, choices.size(), Count(TuneOrigin::kMeasured),
      Count(TuneOrigin::kCached), Count(TuneOrigin::kDefault), Ratio());
  for (const TuneChoice& choice : choices) {
    absl::StrAppendFormat(&text, "  %s: %s (%s, %d uses", choice.operation,
                          choice.choice, TuneOriginName(choice.origin),
                          choice.uses);
    if (choice.default_seconds > 0) {
      absl::StrAppendFormat(&text, ", %.3g us of %.3g", choice.seconds * 1e6,
                            choice.default_seconds * 1e6);
    }
    absl::StrAppend(&text, ")\n");
  }
  return absl::StrCat(text, notes);
}

}  // namespace modelbatch
