// A chart before it is drawn: axes and series, as plain numbers.
// curve_chart.h and field_chart.h make them from a run, draw.h draws them.
#ifndef MODELBATCH_PLOT_CHART_H_
#define MODELBATCH_PLOT_CHART_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace modelbatch {

// What a series is, which decides its colour: in a page, light or dark, by the
// page's style (report/page_style.h).
enum class Tone {
  kThin,       // a model among many
  kOuterBand,  // most models
  kInnerBand,  // half of them
  kMedian,
  kPoint,
  kFrozen,
  kBest,  // and a place in kBestColors
};

// Told apart by most colour-blind readers: Okabe and Ito,
// https://jfly.uni-koeln.de/color, without black and with a darker yellow.
inline constexpr std::array<const char*, 7> kBestColors = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#9a8700",
};

struct Series {
  enum class Kind { kLine, kBand, kPoints, kCrosses };

  Kind kind = Kind::kLine;
  Tone tone = Tone::kThin;
  int place = 0;  // among the best, from 0; for kBest
  std::vector<double> x;
  std::vector<double> y;       // NaN: a gap in a line or band
  std::vector<double> y_high;  // of a band, whose lower edge is `y`
  std::string label;           // in the key; empty: not there
  // What a reader sees who points at it, and the ids of the models: of a line
  // or band one entry or none, else an entry a point.
  std::vector<std::string> tooltips;
  std::vector<int64_t> models;
};

struct Axis {
  std::string label;
  bool log = false;
  double min = 0;
  double max = 1;
  // Where ticks are to be; empty: wherever it suits.
  std::vector<double> ticks;
};

struct Chart {
  std::string name;   // "validation_loss": of its file
  std::string title;  // "Validation loss"
  std::string note;   // how to read it, in a line
  Axis x;
  Axis y;
  std::vector<Series> series;  // the last is drawn over the others
};

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_CHART_H_
