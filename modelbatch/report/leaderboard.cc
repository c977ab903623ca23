#include "modelbatch/report/leaderboard.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/plot/axis.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/plot/svg.h"
#include "modelbatch/train/event.h"

namespace modelbatch {
namespace {

// `hint` is shown to who points at it; may be empty.
std::string HeaderCell(const std::string& text, const std::string& hint,
                       bool is_text, bool sorted = false) {
  return absl::StrCat(
      "<th scope=\"col\"", is_text ? " class=\"text\"" : "", " aria-sort=\"",
      sorted ? "ascending" : "none", "\"",
      hint.empty() ? "" : absl::StrCat(" title=\"", EscapeXml(hint), "\""),
      "><button type=\"button\">", EscapeXml(text), "</button></th>");
}

std::string NumberCell(const std::string& shown, const std::string& exact) {
  return absl::StrCat("<td data-v=\"", EscapeXml(exact), "\">",
                      EscapeXml(shown), "</td>");
}

std::string IntCell(int64_t value) {
  return NumberCell(absl::StrCat(value), absl::StrCat(value));
}

std::string TextCell(const std::string& text, const std::string& classes) {
  return absl::StrCat("<td class=\"", classes, "\">", EscapeXml(text), "</td>");
}

// JavaScript's word for it.
std::string ExactNumber(const ResultsColumn& column, int index) {
  const double value = column.values[index];
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return std::isnan(value) ? "" : column.texts[index];
}

std::string ColumnCell(const ResultsColumn& column, int index, bool score) {
  if (!column.numeric()) return TextCell(column.texts[index], "text");
  const double value = column.values[index];
  return NumberCell(
      score ? ShownScore(column.name, value) : FormatNumber(value),
      ExactNumber(column, index));
}

// The class of a status: what it begins with.
std::string StatusClass(const std::string& status) {
  for (const char* name : {"ok", "frozen", "stopped", "removed"}) {
    if (absl::StartsWith(status, name)) return name;
  }
  return "soft";
}

// What ranks comes first, then the others in the file's order.
std::vector<const ResultsColumn*> OrderedScores(const RunRecord& run) {
  std::vector<const ResultsColumn*> scores;
  for (const ResultsColumn& column : run.results.scores) {
    // Of regressions there are no accuracies: empty columns.
    const bool any =
        !column.numeric() ||
        std::any_of(column.values.begin(), column.values.end(),
                    [](double value) { return !std::isnan(value); });
    if (any) scores.push_back(&column);
  }
  const std::string ranking = RankingMetric(run);
  std::stable_partition(
      scores.begin(), scores.end(),
      [&](const ResultsColumn* column) { return column->name == ranking; });
  return scores;
}

std::string Table(const std::string& id, const std::string& header,
                  const std::string& body) {
  return absl::StrCat("<div class=\"table\" tabindex=\"0\">\n<table id=\"", id,
                      "\" class=\"sortable\">\n<thead><tr>", header,
                      "</tr></thead>\n<tbody>\n", body,
                      "</tbody>\n</table>\n</div>\n");
}

}  // namespace

std::string ShownScore(const std::string& metric, double value) {
  return IsFraction(metric) ? FormatPercent(value) : FormatNumber(value);
}

std::string LeaderboardTable(const RunRecord& run, size_t max_rows) {
  const ResultsTable& results = run.results;
  const std::vector<const ResultsColumn*> scores = OrderedScores(run);
  const std::vector<std::string> labels = FieldLabels(results);
  std::string header = HeaderCell("rank", "", false, /*sorted=*/true);
  absl::StrAppend(&header, HeaderCell("model", "", false));
  for (size_t i = 0; i < labels.size(); ++i) {
    absl::StrAppend(&header, HeaderCell(labels[i], results.swept[i].name,
                                        !results.swept[i].numeric()));
  }
  for (const ResultsColumn* column : scores) {
    absl::StrAppend(&header, HeaderCell(Spoken(column->name), column->name,
                                        !column->numeric()));
  }
  absl::StrAppend(&header, HeaderCell("best epoch", "", false),
                  HeaderCell("status", "", true));
  std::string body;
  size_t rows = 0;
  for (const int i : results.ByRank()) {
    if (++rows > max_rows) break;
    absl::StrAppend(&body, "<tr data-model=\"", results.models[i], "\">",
                    IntCell(results.ranks[i]), IntCell(results.models[i]));
    for (const ResultsColumn& column : results.swept) {
      absl::StrAppend(&body, ColumnCell(column, i, /*score=*/false));
    }
    for (const ResultsColumn* column : scores) {
      absl::StrAppend(&body, ColumnCell(*column, i, /*score=*/true));
    }
    absl::StrAppend(&body,
                    results.best_epochs[i] > 0 ? IntCell(results.best_epochs[i])
                                               : NumberCell("-", ""),
                    TextCell(results.statuses[i],
                             "text " + StatusClass(results.statuses[i])),
                    "</tr>\n");
  }
  return Table("leaderboard", header, body);
}

std::string EventsTable(const RunRecord& run, size_t max_rows) {
  if (run.events.empty()) return "";
  std::string header;
  for (const auto& [name, is_text] :
       {std::pair("step", false), std::pair("epoch", false),
        std::pair("model", false), std::pair("event", true),
        std::pair("reason", true), std::pair("by", true)}) {
    absl::StrAppend(&header, HeaderCell(name, "", is_text));
  }
  std::string body;
  for (size_t i = 0; i < std::min(max_rows, run.events.size()); ++i) {
    const RunEvent& line = run.events[i];
    if (!line.event.has_value()) {
      absl::StrAppend(&body, "<tr>", IntCell(line.step), IntCell(line.epoch),
                      NumberCell("", ""), TextCell("run", "text"),
                      TextCell(line.what, "text wide"), TextCell("", "text"),
                      "</tr>\n");
      continue;
    }
    const Event& event = *line.event;
    std::string reason = event.reason;
    if (event.kind == EventKind::kReplace) {
      absl::StrAppend(&reason, reason.empty() ? "" : "; ", "by model ",
                      event.copy, ", a copy of model ", event.source);
    }
    absl::StrAppend(
        &body, "<tr data-model=\"", event.model, "\">", IntCell(event.step),
        IntCell(event.epoch), IntCell(event.model),
        TextCell(EventKindName(event.kind), "text"),
        TextCell(reason, "text wide"),
        TextCell(event.built_in ? "config" : "program", "text"), "</tr>\n");
  }
  return Table("events", header, body);
}

}  // namespace modelbatch
