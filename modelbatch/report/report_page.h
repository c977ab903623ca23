// A run as one HTML page that needs nothing else: no network, no other file.
//
//   MB_ASSIGN_OR_RETURN(auto drawings,
//                       DrawCharts(charts, Target::kInlineSvg));
//   const std::string html = ReportPage(run, charts, drawings);
#ifndef MODELBATCH_REPORT_REPORT_PAGE_H_
#define MODELBATCH_REPORT_REPORT_PAGE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "modelbatch/plot/chart.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

// The best so many models are in the leaderboard, the first so many events in
// the list; the page says where the others are.
inline constexpr size_t kMaxRows = 2000;

// What was trained, the best model, leaderboard, charts, events, config,
// environment, files. Whatever comes from the run is escaped. `drawings` are
// those of `charts`, or none.
std::string ReportPage(const RunRecord& run, const std::vector<Chart>& charts,
                       const std::vector<std::string>& drawings);

}  // namespace modelbatch

#endif  // MODELBATCH_REPORT_REPORT_PAGE_H_
