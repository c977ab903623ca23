// What a comparison has measured, for people: tables from the JSON that
// compare.cc makes.
#ifndef BENCHMARKS_COMPARE_REPORT_H_
#define BENCHMARKS_COMPARE_REPORT_H_

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace modelbatch::benchmarks {

// The limits of the machine, a line each.
std::string MachineTable(const nlohmann::json& machine_limits);

// One workload at one number of models: every contender, then the limits.
std::string CellTable(const nlohmann::json& cell);

// The peers of a cell, in order.
std::vector<std::string> PeersOf(const nlohmann::json& cell);
// The contender of a peer with the smallest median; null: it has none.
const nlohmann::json* FastestOf(const nlohmann::json& cell,
                                const std::string& peer);
// Those cells of the results that are of this workload.
std::vector<const nlohmann::json*> CellsOf(const nlohmann::json& results,
                                           const std::string& workload);
// The names of the workloads, in order.
std::vector<std::string> WorkloadsOf(const nlohmann::json& results);

// In Markdown: for every workload the milliseconds of a step, a column for each
// number of models and a row for each peer in its fastest arrangement.
std::string Markdown(const nlohmann::json& results);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_REPORT_H_
