#include "modelbatch/plot/curve_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/plot/axis.h"

namespace modelbatch {
namespace {

// CutBelow: from which of the last values on, with how much of the axis below
// it, and how much of the whole range at most must then be left.
constexpr double kCutQuantile = 0.1;
constexpr double kCutRoom = 0.25;
constexpr double kCutHelps = 0.5;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

size_t MetricIndex(const RunRecord& run, const std::string& metric) {
  const auto& names = run.curves.metrics;
  return std::find(names.begin(), names.end(), metric) - names.begin();
}

class Builder {
 public:
  Builder(const RunRecord& run, const std::string& metric,
          const ModelChoice& choice)
      : run_(run),
        metric_(metric),
        choice_(choice),
        index_(MetricIndex(run, metric)),
        factor_(IsFraction(metric) ? 100 : 1) {
    for (size_t i = 0; i < run.results.size(); ++i) {
      places_[run.results.models[i]] = static_cast<int>(i);
    }
    for (const ModelCurve& curve : run.curves.models) {
      if (!curve.epochs.empty()) {
        last_epoch_ = std::max(last_epoch_, curve.epochs.back());
      }
    }
    stride_ = 1 + (last_epoch_ - 1) / static_cast<int64_t>(kMaxCurvePoints);
  }

  Chart Build() {
    chart_.name = metric_;
    chart_.title = Headline(metric_);
    chart_.x.label = "epoch";
    std::vector<const ModelCurve*> others;
    for (const ModelCurve& curve : run_.curves.models) {
      if (choice_.others && Place(curve.model) < 0) others.push_back(&curve);
    }
    if (others.size() > kMaxThinLines) {
      AddBands();
    } else {
      for (const ModelCurve* curve : others) AddLine(*curve, -1);
    }
    AddEnds();
    // The best is drawn last, over the others.
    for (size_t i = choice_.highlighted.size(); i-- > 0;) {
      for (const ModelCurve& curve : run_.curves.models) {
        if (curve.model == choice_.highlighted[i]) {
          AddLine(curve, static_cast<int>(i));
        }
      }
    }
    FitAxes();
    return std::move(chart_);
  }

 private:
  // Among the highlighted; -1: it is none.
  int Place(int64_t id) const {
    const auto& ids = choice_.highlighted;
    const auto it = std::find(ids.begin(), ids.end(), id);
    return it == ids.end() ? -1 : static_cast<int>(it - ids.begin());
  }

  bool IsDrawn(int64_t epoch) const {
    return (epoch - 1) % stride_ == 0 || epoch == last_epoch_;
  }

  // NaN where it can not be drawn.
  double Value(const ModelCurve& curve, size_t i) const {
    const double value = curve.values[index_][i];
    return CanBeDrawn(value) ? factor_ * value : kNan;
  }

  std::string Tooltip(int64_t id) const {
    const auto it = places_.find(id);
    return it == places_.end() ? absl::StrCat("model ", id, ", replaced later")
                               : DescribeModel(run_, it->second);
  }

  void AddLine(const ModelCurve& curve, int place) {
    Series line;
    line.tone = place < 0 ? Tone::kThin : Tone::kBest;
    line.place = std::max(place, 0);
    int64_t before = 0;
    for (size_t i = 0; i < curve.epochs.size(); ++i) {
      const int64_t epoch = curve.epochs[i];
      if (!IsDrawn(epoch)) continue;
      if (before > 0 && epoch > before + stride_) {  // lines are not bridged
        line.x.push_back(static_cast<double>(before + stride_));
        line.y.push_back(kNan);
      }
      before = epoch;
      line.x.push_back(static_cast<double>(epoch));
      line.y.push_back(Value(curve, i));
    }
    if (std::none_of(line.y.begin(), line.y.end(),
                     [](double y) { return CanBeDrawn(y); })) {
      return;
    }
    if (place >= 0) line.label = absl::StrCat("model ", curve.model);
    line.tooltips = {Tooltip(curve.model)};
    line.models = {curve.model};
    chart_.series.push_back(std::move(line));
  }

  // Of all models, epoch by epoch.
  void AddBands() {
    std::map<int64_t, std::vector<double>> values;
    for (const ModelCurve& curve : run_.curves.models) {
      for (size_t i = 0; i < curve.epochs.size(); ++i) {
        if (!IsDrawn(curve.epochs[i])) continue;
        const double value = Value(curve, i);
        if (CanBeDrawn(value)) values[curve.epochs[i]].push_back(value);
      }
    }
    Series outer;
    outer.kind = Series::Kind::kBand;
    outer.tone = Tone::kOuterBand;
    outer.label = "90 % of models";
    Series inner = outer;
    inner.tone = Tone::kInnerBand;
    inner.label = "50 % of models";
    Series median;
    median.tone = Tone::kMedian;
    median.label = "median";
    for (auto& [epoch, sorted] : values) {
      std::sort(sorted.begin(), sorted.end());
      for (Series* series : {&outer, &inner, &median}) {
        series->x.push_back(static_cast<double>(epoch));
      }
      outer.y.push_back(Quantile(sorted, 0.05));
      outer.y_high.push_back(Quantile(sorted, 0.95));
      inner.y.push_back(Quantile(sorted, 0.25));
      inner.y_high.push_back(Quantile(sorted, 0.75));
      median.y.push_back(Quantile(sorted, 0.5));
    }
    if (values.empty()) return;
    const std::string all =
        absl::StrCat(run_.curves.models.size(), " models, each epoch");
    outer.tooltips = {"between the 5 % and the 95 % quantile of " + all};
    inner.tooltips = {"between the quartiles of " + all};
    median.tooltips = {"median of " + all};
    for (Series* series : {&outer, &inner, &median}) {
      chart_.series.push_back(std::move(*series));
    }
  }

  // Where the curves of frozen models end.
  void AddEnds() {
    Series ends;
    ends.kind = Series::Kind::kCrosses;
    ends.tone = Tone::kFrozen;
    ends.label = "frozen";
    for (const ModelCurve& curve : run_.curves.models) {
      const auto it = places_.find(curve.model);
      if (it == places_.end() || !run_.results.IsFrozen(it->second)) continue;
      if (!choice_.others && Place(curve.model) < 0) continue;
      for (size_t i = curve.epochs.size(); i-- > 0;) {
        const double value = Value(curve, i);
        if (!CanBeDrawn(value)) continue;
        ends.x.push_back(static_cast<double>(curve.epochs[i]));
        ends.y.push_back(value);
        ends.tooltips.push_back(Tooltip(curve.model));
        ends.models.push_back(curve.model);
        break;
      }
    }
    if (!ends.x.empty()) chart_.series.push_back(std::move(ends));
  }

  void FitAxes() {
    std::vector<double> ys;
    for (const Series& series : chart_.series) {
      ys.insert(ys.end(), series.y.begin(), series.y.end());
      ys.insert(ys.end(), series.y_high.begin(), series.y_high.end());
    }
    chart_.y.log = WantsLogScale(metric_, ys);
    FitAxis(ys, &chart_.y);
    if (chart_.y.log) remarks_.push_back("log scale");
    if (LessIsBetter(metric_)) CutAbove(ys);
    if (factor_ == 100) {
      chart_.y.max = std::min(chart_.y.max, 100.5);
      CutBelow();
    }
    chart_.y.label =
        AxisLabel(Spoken(metric_) + (factor_ == 1 ? "" : ", %"), remarks_);
    chart_.x.min = 1;
    chart_.x.max = static_cast<double>(std::max<int64_t>(last_epoch_, 2));
    if (last_epoch_ <= 10) {
      for (int64_t epoch = 1; epoch <= chart_.x.max; ++epoch) {
        chart_.x.ticks.push_back(static_cast<double>(epoch));
      }
    }
  }

  void CutAbove(const std::vector<double>& ys) {
    std::vector<double> best;
    for (const Series& series : chart_.series) {
      if (series.tone != Tone::kBest) continue;
      best.insert(best.end(), series.y.begin(), series.y.end());
    }
    if (!CutFarValues(best, ys, &chart_.y)) return;
    remarks_.push_back("higher ones cut off");
    Clamp();
  }

  // What is no line has to be where it can be seen.
  void Clamp() {
    for (Series& series : chart_.series) {
      if (series.kind == Series::Kind::kLine) continue;
      for (std::vector<double>* ys : {&series.y, &series.y_high}) {
        for (double& y : *ys) y = std::clamp(y, chart_.y.min, chart_.y.max);
      }
    }
  }

  void CutBelow() {
    std::vector<double> last;
    double lowest = std::numeric_limits<double>::infinity();  // of the best
    for (const ModelCurve& curve : run_.curves.models) {
      const int place = Place(curve.model);
      if (!choice_.others && place < 0) continue;
      for (size_t i = curve.epochs.size(); i-- > 0;) {
        const double value = Value(curve, i);
        if (!CanBeDrawn(value)) continue;
        last.push_back(value);
        if (place >= 0) lowest = std::min(lowest, value);
        break;
      }
    }
    if (last.empty()) return;
    std::sort(last.begin(), last.end());
    Axis* axis = &chart_.y;
    double floor = std::min(Quantile(last, kCutQuantile), lowest);
    floor -= kCutRoom * (axis->max - floor);
    if (axis->max - floor > kCutHelps * (axis->max - axis->min)) return;
    axis->min = floor;
    remarks_.push_back("lower ones cut off");
    Clamp();
  }

  const RunRecord& run_;
  const std::string& metric_;
  const ModelChoice& choice_;
  const size_t index_;
  const double factor_;
  int64_t last_epoch_ = 1;
  int64_t stride_ = 1;
  std::map<int64_t, int> places_;     // of a model's id in the results
  std::vector<std::string> remarks_;  // on the y axis
  Chart chart_;
};

}  // namespace

std::vector<std::string> CurveMetrics(const RunRecord& run) {
  std::vector<std::string> metrics;
  for (size_t m = 0; m < run.curves.metrics.size(); ++m) {
    for (const ModelCurve& curve : run.curves.models) {
      const std::vector<double>& values = curve.values[m];
      if (std::any_of(values.begin(), values.end(),
                      [](double value) { return CanBeDrawn(value); })) {
        metrics.push_back(run.curves.metrics[m]);
        break;
      }
    }
  }
  return metrics;
}

bool VariesOverEpochs(const RunRecord& run, const std::string& metric) {
  const size_t index = MetricIndex(run, metric);
  for (const ModelCurve& curve : run.curves.models) {
    const double* first = nullptr;
    for (const double& value : curve.values[index]) {
      if (!CanBeDrawn(value)) continue;
      if (first != nullptr && value != *first) return true;
      first = &value;
    }
  }
  return false;
}

Chart CurveChart(const RunRecord& run, const std::string& metric,
                 const ModelChoice& choice) {
  return Builder(run, metric, choice).Build();
}

}  // namespace modelbatch
