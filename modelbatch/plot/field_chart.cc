#include "modelbatch/plot/field_chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/plot/axis.h"

namespace modelbatch {
namespace {

// So many values at most have a tick each.
constexpr size_t kMaxValueTicks = 8;
constexpr size_t kMaxMedians = 40;

// What the config says of the field; null where it is none that sweeps have
// always had.
const Sweep* FindSweep(const ExperimentConfig& config,
                       const std::string& path) {
  if (path == "train.batch_size") return &config.train.batch_size;
  for (const auto& [name, sweep] : config.optimizer.numbers) {
    if (path == "optimizer." + name) return &sweep;
  }
  for (size_t i = 0; i < config.model.layers.size(); ++i) {
    for (const auto& [name, sweep] : config.model.layers[i].numbers) {
      if (path == absl::StrCat("model.layers[", i, "].", name)) return &sweep;
    }
  }
  return nullptr;
}

bool IsLogScale(const RunRecord& run, const ResultsColumn& field) {
  const bool positive = std::all_of(field.values.begin(), field.values.end(),
                                    [](double value) { return value > 0; });
  const Sweep* sweep = FindSweep(run.config, field.name);
  if (sweep != nullptr && sweep->kind == Sweep::Kind::kRange) {
    return sweep->log && positive;
  }
  return SpansDecades(field.values);
}

class Builder {
 public:
  Builder(const RunRecord& run, const ResultsColumn& field,
          const std::string& metric, const ModelChoice& choice)
      : run_(run),
        field_(field),
        metric_(metric),
        scores_(*run.results.FindScore(metric)),
        choice_(choice),
        factor_(IsFraction(metric) ? 100 : 1) {}

  Chart Build() {
    const std::vector<std::string> labels = FieldLabels(run_.results);
    const size_t at = &field_ - run_.results.swept.data();
    // Brackets do not belong into the name of a file.
    chart_.name = absl::StrCat("by_", field_.name);
    for (char& c : chart_.name) {
      if (c == '[') c = '.';
    }
    chart_.name.erase(std::remove(chart_.name.begin(), chart_.name.end(), ']'),
                      chart_.name.end());
    chart_.title = absl::StrCat(Headline(metric_), " by ", labels[at]);
    FitAxes();
    AddMedians();
    AddPoints();
    return std::move(chart_);
  }

 private:
  double Score(size_t i) const {
    return scores_.numeric() ? factor_ * scores_.values[i] : std::nan("");
  }

  int Place(int64_t id) const {
    const auto& ids = choice_.highlighted;
    const auto it = std::find(ids.begin(), ids.end(), id);
    return it == ids.end() ? -1 : static_cast<int>(it - ids.begin());
  }

  bool IsShown(size_t i) const {
    return CanBeDrawn(field_.values[i]) &&
           (choice_.others || Place(run_.results.models[i]) >= 0);
  }

  void FitAxes() {
    std::vector<double> xs;
    std::vector<double> ys;
    for (size_t i = 0; i < run_.results.size(); ++i) {
      if (!IsShown(i)) continue;
      xs.push_back(field_.values[i]);
      ys.push_back(Score(i));
    }
    chart_.x.log = IsLogScale(run_, field_);
    FitAxis(xs, &chart_.x);
    std::sort(xs.begin(), xs.end());
    xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
    if (!chart_.x.log && xs.size() <= kMaxValueTicks) chart_.x.ticks = xs;
    chart_.x.label =
        chart_.x.log ? AxisLabel(field_.name, {"log scale"}) : field_.name;
    chart_.y.log = WantsLogScale(metric_, ys);
    FitAxis(ys, &chart_.y);
    std::vector<std::string> remarks;
    if (chart_.y.log) remarks.push_back("log scale");
    std::vector<double> best;
    for (size_t i = 0; i < run_.results.size(); ++i) {
      if (Place(run_.results.models[i]) >= 0) best.push_back(Score(i));
    }
    if (LessIsBetter(metric_) && CutFarValues(best, ys, &chart_.y)) {
      remarks.push_back("higher ones cut off");
    }
    chart_.y.label =
        AxisLabel(Spoken(metric_) + (factor_ == 1 ? "" : ", %"), remarks);
  }

  void AddMedians() {
    std::map<double, std::vector<double>> groups;
    size_t models = 0;
    for (size_t i = 0; i < run_.results.size(); ++i) {
      if (!IsShown(i) || !CanBeDrawn(Score(i))) continue;
      groups[field_.values[i]].push_back(Score(i));
      ++models;
    }
    if (groups.size() < 2 || groups.size() > kMaxMedians ||
        models < 2 * groups.size()) {
      return;
    }
    Series medians;
    medians.tone = Tone::kMedian;
    medians.label = "median";
    medians.tooltips = {
        absl::StrCat("medians of the models of each ", field_.name)};
    for (auto& [x, scores] : groups) {
      std::sort(scores.begin(), scores.end());
      medians.x.push_back(x);
      medians.y.push_back(Quantile(scores, 0.5));
    }
    chart_.series.push_back(std::move(medians));
  }

  void AddPoints() {
    const ResultsTable& results = run_.results;
    Series points;
    points.kind = Series::Kind::kPoints;
    points.tone = Tone::kPoint;
    Series frozen = points;
    frozen.kind = Series::Kind::kCrosses;
    frozen.tone = Tone::kFrozen;
    frozen.label = "frozen";
    Series missing = frozen;
    missing.label = "no finite score";
    Series beyond = points;
    beyond.kind = Series::Kind::kCrosses;
    beyond.label = "beyond the axis";
    std::map<int, Series> best;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!IsShown(i)) continue;
      const int place = Place(results.models[i]);
      double y = Score(i);
      Series* series = &points;
      if (!CanBeDrawn(y)) {
        series = &missing;
        y = LessIsBetter(metric_) ? chart_.y.max : chart_.y.min;
      } else if (y > chart_.y.max) {
        series = &beyond;
        y = chart_.y.max;
      } else if (results.IsFrozen(static_cast<int>(i))) {
        series = &frozen;
      } else if (place >= 0) {
        series = &best[place];
        series->kind = Series::Kind::kPoints;
        series->tone = Tone::kBest;
        series->place = place;
        series->label = absl::StrCat("model ", results.models[i]);
      }
      series->x.push_back(field_.values[i]);
      series->y.push_back(y);
      series->models.push_back(results.models[i]);
      series->tooltips.push_back(absl::StrCat(
          DescribeModel(run_, static_cast<int>(i)), ": ",
          series == &missing
              ? "no finite " + Spoken(metric_)
              : absl::StrCat(Spoken(metric_), " ", FormatNumber(Score(i)),
                             factor_ == 1 ? "" : " %")));
    }
    for (Series* series : {&points, &beyond, &frozen, &missing}) {
      if (!series->x.empty()) chart_.series.push_back(std::move(*series));
    }
    // The best is drawn last.
    for (auto it = best.rbegin(); it != best.rend(); ++it) {
      chart_.series.push_back(std::move(it->second));
    }
  }

  const RunRecord& run_;
  const ResultsColumn& field_;
  const std::string& metric_;
  const ResultsColumn& scores_;
  const ModelChoice& choice_;
  const double factor_;
  Chart chart_;
};

}  // namespace

std::vector<const ResultsColumn*> SweptNumbers(const RunRecord& run) {
  std::vector<const ResultsColumn*> columns;
  for (const ResultsColumn& column : run.results.swept) {
    const std::set<double> values(column.values.begin(), column.values.end());
    if (values.size() > 1) columns.push_back(&column);
  }
  return columns;
}

Chart FieldChart(const RunRecord& run, const ResultsColumn& field,
                 const std::string& metric, const ModelChoice& choice) {
  return Builder(run, field, metric, choice).Build();
}

}  // namespace modelbatch
