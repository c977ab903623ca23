#include "benchmarks/compare/plot.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "benchmarks/compare/report.h"

namespace modelbatch::benchmarks {
namespace {

using nlohmann::json;

// In gnuplot's single quotes nothing but the quote is special.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

}  // namespace

absl::Status PlotScaling(const json& results, const std::string& workload,
                         const std::string& path) {
  const std::vector<const json*> cells = CellsOf(results, workload);
  std::vector<std::string> lines, data;
  for (const std::string& peer : PeersOf(*cells.at(0))) {
    std::string points;
    for (const json* cell : cells) {
      const json* const fastest = FastestOf(*cell, peer);
      if (fastest == nullptr) continue;
      absl::StrAppendFormat(&points, "%d %.6g\n", cell->at("models").get<int>(),
                            fastest->at("models_per_second").get<double>());
    }
    if (points.empty()) continue;
    lines.push_back(
        absl::StrCat("'-' with linespoints linewidth 2 title ", Quoted(peer)));
    data.push_back(points);
  }
  std::string limits;
  for (const json* cell : cells) {
    const json& limit = cell->at("limits").back();
    if (!limit.contains("max_ms")) continue;
    const int models = cell->at("models").get<int>();
    absl::StrAppendFormat(&limits, "%d %.6g\n", models,
                          1e3 * models / limit.at("max_ms").get<double>());
  }
  if (!limits.empty()) {
    lines.push_back("'-' with lines dashtype 2 linecolor 'gray' title 'limit'");
    data.push_back(limits);
  }
  const std::string script = absl::StrCat(
      "set terminal svg size 800,560 noenhanced background 'white'\n",
      "set output ", Quoted(path), "\nset title ",
      Quoted(absl::StrCat(workload, ": ",
                          cells[0]->at("networks").get<std::string>())),
      "\nset xlabel 'models'\nset ylabel 'training steps of a model a second'\n"
      "set logscale x 2\nset logscale y\nset grid\n"
      "set key outside right top\nplot ",
      absl::StrJoin(lines, ", "), "\n", absl::StrJoin(data, "e\n"), "e\n");
  if (std::system("command -v gnuplot >/dev/null") != 0) {
    return absl::NotFoundError(
        "no plot: gnuplot is not installed (Debian's gnuplot-nox)");
  }
  FILE* const gnuplot = popen("gnuplot", "w");
  if (gnuplot == nullptr) return absl::InternalError("cannot run gnuplot");
  std::fputs(script.c_str(), gnuplot);
  if (pclose(gnuplot) != 0) {
    return absl::InternalError(absl::StrCat("gnuplot has not made ", path));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::benchmarks
