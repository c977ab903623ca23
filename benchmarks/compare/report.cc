#include "benchmarks/compare/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace modelbatch::benchmarks {
namespace {

using nlohmann::json;

double Median(const json& contender) {
  return contender.at("median_ms_per_step").get<double>();
}

// The limits on one core and on all, in words.
std::string LimitLines(const json& cell) {
  std::string text;
  for (const json& limit : cell.at("limits")) {
    absl::StrAppendFormat(&text,
                          "limit, %d core%s: ", limit.at("cores").get<int>(),
                          limit.at("cores") == 1 ? "" : "s");
    if (limit.contains("fma")) {
      absl::StrAppendFormat(
          &text, "products %.3f ms (%.1f MFLOP at %.0f GFLOP/s), ",
          limit.at("products_ms").get<double>(),
          1e-6 * cell.at("flop_per_step").get<double>(),
          1e-9 * limit.at("fma").at("per_second").get<double>());
    }
    absl::StrAppendFormat(
        &text, "update %.3f ms (24 B x %d at %.1f GB/s, %s)",
        limit.at("update_ms").get<double>(),
        cell.at("parameters").get<int64_t>(),
        1e-9 * limit.at("update").at("per_second").get<double>(),
        limit.at("level").get<std::string>());
    if (limit.contains("fma")) {
      absl::StrAppendFormat(&text, "; maximum %.3f ms, sum %.3f ms",
                            limit.at("max_ms").get<double>(),
                            limit.at("sum_ms").get<double>());
    }
    text += "\n";
  }
  return text;
}

// The first contender that was measured.
const json* FirstOf(const json& cell) {
  for (const json& contender : cell.at("contenders")) {
    if (!contender.contains("not_run")) return &contender;
  }
  return nullptr;
}

}  // namespace

std::string MachineTable(const json& machine_limits) {
  std::string text;
  for (const json& limit : machine_limits) {
    const std::string name = absl::StrCat(
        limit.at("what").get<std::string>(),
        limit.contains("level")
            ? absl::StrCat(", ", limit.at("level").get<std::string>())
            : "",
        ", ", limit.at("cores").get<int>(),
        limit.at("cores") == 1 ? " core" : " cores");
    if (limit.contains("not_run")) {
      absl::StrAppendFormat(&text, "%-44s not measured: %s\n", name,
                            limit.at("not_run").get<std::string>());
    } else {
      absl::StrAppendFormat(&text, "%-44s %8.1f G\n", name,
                            1e-9 * limit.at("per_second").get<double>());
    }
  }
  return text;
}

std::string CellTable(const json& cell) {
  std::string text = absl::StrFormat(
      "\n%s: %d networks %s; %d rows a step; Adam\n",
      cell.at("workload").get<std::string>(), cell.at("models").get<int>(),
      cell.at("networks").get<std::string>(),
      cell.at("rows_per_step").get<int64_t>());
  absl::StrAppendFormat(&text, "  %-36s %9s %19s %9s %8s %9s %8s %9s %9s\n", "",
                        "ms/step", "min..max", "models/s", "GFLOP/s",
                        "kB/model", "slower", "neighbour", "disturbed");
  const json* const first = FirstOf(cell);
  for (const json& contender : cell.at("contenders")) {
    const std::string name = contender.at("name").get<std::string>();
    if (contender.contains("not_run")) {
      absl::StrAppendFormat(&text, "  %-36s not run: %s\n", name,
                            contender.at("not_run").get<std::string>());
      continue;
    }
    const bool fastest =
        FastestOf(cell, contender.at("peer").get<std::string>()) == &contender;
    std::string neighbour = "-";
    if (contender.contains("neighbour")) {
      neighbour = absl::StrFormat(
          "%.2fx",
          contender.at("neighbour").at("median_ms_per_step").get<double>() /
              Median(contender));
    }
    absl::StrAppendFormat(
        &text,
        "%c %-36s %9.3f %9.3f..%8.3f %9.0f %8.1f %9.0f %7.2fx %9s %4d of %d\n",
        fastest ? '*' : ' ', name, Median(contender),
        contender.at("min_ms_per_step").get<double>(),
        contender.at("max_ms_per_step").get<double>(),
        contender.at("models_per_second").get<double>(),
        contender.at("gflops").get<double>(),
        1e-3 * contender.at("peak_rss_bytes_per_model").get<double>(),
        Median(contender) / Median(*first), neighbour,
        contender.at("samples_disturbed").get<int>(),
        static_cast<int>(contender.at("ms_per_step").size()));
  }
  return text + LimitLines(cell);
}

std::vector<std::string> PeersOf(const json& cell) {
  std::vector<std::string> peers;
  for (const json& contender : cell.at("contenders")) {
    const std::string peer = contender.at("peer").get<std::string>();
    if (peers.empty() || peers.back() != peer) peers.push_back(peer);
  }
  return peers;
}

const json* FastestOf(const json& cell, const std::string& peer) {
  const json* fastest = nullptr;
  for (const json& contender : cell.at("contenders")) {
    if (contender.at("peer") != peer || contender.contains("not_run")) continue;
    if (fastest == nullptr || Median(contender) < Median(*fastest)) {
      fastest = &contender;
    }
  }
  return fastest;
}

std::vector<const json*> CellsOf(const json& results,
                                 const std::string& workload) {
  std::vector<const json*> cells;
  for (const json& cell : results.at("cells")) {
    if (cell.at("workload") == workload) cells.push_back(&cell);
  }
  return cells;
}

std::vector<std::string> WorkloadsOf(const json& results) {
  std::vector<std::string> workloads;
  for (const json& cell : results.at("cells")) {
    const std::string name = cell.at("workload").get<std::string>();
    if (std::find(workloads.begin(), workloads.end(), name) ==
        workloads.end()) {
      workloads.push_back(name);
    }
  }
  return workloads;
}

std::string Markdown(const json& results) {
  std::string text;
  for (const std::string& workload : WorkloadsOf(results)) {
    const std::vector<const json*> cells = CellsOf(results, workload);
    absl::StrAppend(&text, text.empty() ? "" : "\n", "`", workload,
                    "`, networks ", cells[0]->at("networks").get<std::string>(),
                    ": milliseconds a step\n\n| |");
    for (const json* cell : cells) {
      absl::StrAppend(&text, " N = ", cell->at("models").get<int>(), " |");
    }
    text += "\n|---|";
    for (size_t c = 0; c < cells.size(); ++c) text += "--:|";
    text += "\n";
    for (const std::string& peer : PeersOf(*cells[0])) {
      absl::StrAppend(&text, "| ", peer, " |");
      for (const json* cell : cells) {
        const json* const fastest = FastestOf(*cell, peer);
        if (fastest == nullptr) {
          text += " – |";
          continue;
        }
        absl::StrAppendFormat(&text, " %.3g (%.1fx, %s) |", Median(*fastest),
                              Median(*fastest) / Median(*FirstOf(*cell)),
                              fastest->at("arrangement").get<std::string>());
      }
      text += "\n";
    }
    for (const json& limit : cells[0]->at("limits")) {
      if (!limit.contains("fma")) continue;
      absl::StrAppend(&text, "| limit on ", limit.at("cores").get<int>(),
                      limit.at("cores") == 1 ? " core" : " cores",
                      ": maximum, sum |");
      for (const json* cell : cells) {
        for (const json& other : cell->at("limits")) {
          if (other.at("cores") != limit.at("cores")) continue;
          absl::StrAppendFormat(&text, " %.3g, %.3g |",
                                other.at("max_ms").get<double>(),
                                other.at("sum_ms").get<double>());
        }
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace modelbatch::benchmarks
