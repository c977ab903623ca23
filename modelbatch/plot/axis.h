// Scales and ranges of axes.
#ifndef MODELBATCH_PLOT_AXIS_H_
#define MODELBATCH_PLOT_AXIS_H_

#include <string>
#include <vector>

#include "modelbatch/plot/chart.h"

namespace modelbatch {

// Finite, and not so large that axes have no numbers for it.
bool CanBeDrawn(double value);

// Whether values are read better on a logarithmic scale: all that can be
// drawn are above 0, and the largest is at least `ratio` times the smallest.
bool SpansDecades(const std::vector<double>& values, double ratio = 20);

// The same of a metric's values: a loss falls by factors, so that less will do;
// accuracies are never shown so.
bool WantsLogScale(const std::string& metric,
                   const std::vector<double>& values);

// Sets min, max and ticks so that every value that can be drawn is inside, with
// some room. A logarithmic axis needs values above 0. Without any: 0 to 1.
void FitAxis(const std::vector<double>& values, Axis* axis);

// Where `values` go further than a thousand times the largest one of `best`,
// the axis is made to end at ten times that one; true then. Models that diverge
// reach any number.
bool CutFarValues(const std::vector<double>& best,
                  const std::vector<double>& values, Axis* axis);

// Ticks 1, 2, 5 times powers of ten, or only 1, or fewer, in [min, max].
std::vector<double> LogTicks(double min, double max);

// The p-quantile of sorted finite values, at least one: linear between order
// statistics (Hyndman and Fan's type 7, as numpy.quantile).
double Quantile(const std::vector<double>& sorted, double p);

// "validation_accuracy" -> "validation accuracy", "Validation accuracy"; "lr"
// -> "learning rate".
std::string Spoken(const std::string& name);
std::string Headline(const std::string& name);

// "validation loss (log scale, higher ones cut off)".
std::string AxisLabel(const std::string& name,
                      const std::vector<std::string>& remarks);

// Accuracies are shown in percent.
bool IsFraction(const std::string& metric);

// Whether less of it is better: losses and errors.
bool LessIsBetter(const std::string& metric);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_AXIS_H_
