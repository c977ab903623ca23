// The tables of a report that are sorted by a click.
#ifndef MODELBATCH_REPORT_LEADERBOARD_H_
#define MODELBATCH_REPORT_LEADERBOARD_H_

#include <cstddef>
#include <string>

#include "modelbatch/train/run_record.h"

namespace modelbatch {

// A score as people read it: "97.8 %" for an accuracy, else four digits.
std::string ShownScore(const std::string& metric, double value);

// The best `max_rows` models: rank, model, swept values, scores, best epoch,
// status. A number's cell has the number as results.csv has it in data-v.
std::string LeaderboardTable(const RunRecord& run, size_t max_rows);

// The first `max_rows` events. Empty without any.
std::string EventsTable(const RunRecord& run, size_t max_rows);

}  // namespace modelbatch

#endif  // MODELBATCH_REPORT_LEADERBOARD_H_
