// What gnuplot's SVG is made into.
#ifndef MODELBATCH_PLOT_SVG_H_
#define MODELBATCH_PLOT_SVG_H_

#include <string>

#include "modelbatch/plot/chart.h"

namespace modelbatch {

// Text in XML and HTML, also within quotes: & < > " ' are escaped; control
// characters and bytes that are no UTF-8 are replaced.
std::string EscapeXml(const std::string& text);

// Gives lines, bands and points their tooltips (<title>), and their models' ids
// as data-model="17". `svg` is gnuplot's drawing of the chart with this id.
std::string AddTooltips(const Chart& chart, const std::string& id,
                        const std::string& svg);

// The <svg> element to stand in an HTML page: without prologue and namespaces,
// and with all ids beginning with `id`.
std::string InlineSvg(const Chart& chart, const std::string& id,
                      const std::string& svg);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_SVG_H_
