#include "modelbatch/cli/format.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace modelbatch {

std::string FormatDuration(double seconds) {
  constexpr double kYear = 365.0 * 24 * 3600;
  if (!(seconds >= 0 && seconds < kYear)) return "-:--";
  const int64_t total = std::llround(seconds);
  const int64_t hours = total / 3600;
  if (hours > 0) {
    return absl::StrFormat("%d:%02d:%02d", hours, total / 60 % 60, total % 60);
  }
  return absl::StrFormat("%d:%02d", total / 60, total % 60);
}

std::string FormatCount(double count) {
  // 999.5 and more would show as "1e+03".
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (count < 999.5) break;
    count /= 1000;
    unit = next;
  }
  return absl::StrFormat("%.3g%s", count, unit);
}

std::string FormatPercent(double fraction) {
  if (std::isnan(fraction)) return "-";
  return absl::StrFormat("%.1f %%", 100 * fraction);
}

std::string FormatNumber(double value) {
  if (std::isnan(value)) return "-";
  return absl::StrFormat("%.4g", value);
}

}  // namespace modelbatch
