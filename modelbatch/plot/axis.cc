#include "modelbatch/plot/axis.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {
namespace {

constexpr double kLossRatio = 5;
// CutFarValues.
constexpr double kFar = 1000;
constexpr double kKept = 10;
// Of the axis, beyond the outermost values.
constexpr double kRoom = 0.04;
constexpr size_t kMaxTicks = 8;
constexpr double kLargest = 1e300;
// Of what is shown on a logarithmic scale.
constexpr double kSmallest = 1e-300;

struct Range {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  bool empty() const { return min > max; }
};

Range DrawnRange(const std::vector<double>& values) {
  Range range;
  for (const double value : values) {
    if (!CanBeDrawn(value)) continue;
    range.min = std::min(range.min, value);
    range.max = std::max(range.max, value);
  }
  return range;
}

}  // namespace

bool CanBeDrawn(double value) { return std::abs(value) <= kLargest; }

bool SpansDecades(const std::vector<double>& values, double ratio) {
  const Range range = DrawnRange(values);
  return !range.empty() && range.min >= kSmallest &&
         range.max / range.min >= ratio;
}

bool WantsLogScale(const std::string& metric,
                   const std::vector<double>& values) {
  if (IsFraction(metric)) return false;
  return LessIsBetter(metric) ? SpansDecades(values, kLossRatio)
                              : SpansDecades(values);
}

std::vector<double> LogTicks(double min, double max) {
  // The last is for hundreds of decades.
  const int last = static_cast<int>(std::floor(std::log10(max)));
  const int first = static_cast<int>(std::floor(std::log10(min)));
  const int every = 1 + (last - first) / static_cast<int>(kMaxTicks);
  for (const std::vector<int>& steps :
       {std::vector<int>{1, 2, 5}, std::vector<int>{1, 3},
        std::vector<int>{1}}) {
    std::vector<double> ticks;
    for (int decade = first; decade <= last; ++decade) {
      if ((last - decade) % every != 0) continue;
      for (const int step : steps) {
        const double tick = step * std::pow(10.0, decade);
        if (tick >= min && tick <= max) ticks.push_back(tick);
      }
    }
    if (ticks.size() <= kMaxTicks || steps.size() == 1) return ticks;
  }
  return {};
}

void FitAxis(const std::vector<double>& values, Axis* axis) {
  const Range range = DrawnRange(values);
  if (range.empty()) {
    axis->log = false;
    axis->min = 0;
    axis->max = 1;
    return;
  }
  if (axis->log) {
    const double ratio = range.max / range.min;
    const double room = ratio > 1 ? std::pow(ratio, kRoom) : 2;
    axis->min = range.min / room;
    axis->max = range.max * room;
    axis->ticks = LogTicks(axis->min, axis->max);
    return;
  }
  double room = kRoom * (range.max - range.min);
  if (!(room > 0)) room = range.max == 0 ? 1 : 0.1 * std::abs(range.max);
  axis->min = range.min - room;
  axis->max = range.max + room;
}

bool CutFarValues(const std::vector<double>& best,
                  const std::vector<double>& values, Axis* axis) {
  const Range near = DrawnRange(best);
  const Range all = DrawnRange(values);
  if (near.empty() || !(near.max > 0) || all.max <= kFar * near.max) {
    return false;
  }
  Range kept;
  for (const double value : values) {
    if (!(value <= kKept * near.max)) continue;
    kept.min = std::min(kept.min, value);
  }
  FitAxis({kept.min, kKept * near.max}, axis);
  return true;
}

double Quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(std::floor(at));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

std::string Spoken(const std::string& name) {
  if (name == "lr") return "learning rate";
  std::string out = name;
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

std::string Headline(const std::string& name) {
  std::string out = Spoken(name);
  if (!out.empty()) {
    out[0] =
        static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  }
  return out;
}

std::string AxisLabel(const std::string& name,
                      const std::vector<std::string>& remarks) {
  if (remarks.empty()) return name;
  return absl::StrCat(name, " (", absl::StrJoin(remarks, ", "), ")");
}

bool IsFraction(const std::string& metric) {
  return absl::StrContains(metric, "accuracy");
}

bool LessIsBetter(const std::string& metric) {
  for (const char* part : {"loss", "error", "mse", "mae"}) {
    if (absl::StrContains(metric, part)) return true;
  }
  return false;
}

}  // namespace modelbatch
