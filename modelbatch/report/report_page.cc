#include "modelbatch/report/report_page.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/plot/axis.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/plot/svg.h"
#include "modelbatch/report/leaderboard.h"
#include "modelbatch/report/page_style.h"
#include "modelbatch/train/event.h"
#include "modelbatch/util/version.h"

namespace modelbatch {
namespace {

std::string Count(int64_t count, const std::string& one) {
  return absl::StrCat(count, " ", one, count == 1 ? "" : "s");
}

std::string Section(const std::string& id, const std::string& title,
                    const std::string& content) {
  return absl::StrCat("<section id=\"", id, "-section\">\n<h2 id=\"", id,
                      "-title\">", title, "</h2>\n", content, "</section>\n");
}

// All three are text.
std::string Card(const std::string& title, const std::string& value,
                 const std::string& more) {
  return absl::StrCat("<div><dt>", EscapeXml(title),
                      "</dt><dd class=\"value\">", EscapeXml(value), "</dd>",
                      more.empty() ? ""
                                   : absl::StrCat("<dd class=\"soft\">",
                                                  EscapeXml(more), "</dd>"),
                      "</div>\n");
}

// Rows of a name and what it is, both text; empty ones are left out.
std::string Facts(
    const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string out = "<table class=\"facts\">\n<tbody>\n";
  for (const auto& [name, value] : facts) {
    if (value.empty()) continue;
    absl::StrAppend(&out, "<tr><th scope=\"row\">", EscapeXml(name),
                    "</th><td>", EscapeXml(value), "</td></tr>\n");
  }
  return out + "</tbody>\n</table>\n";
}

class Page {
 public:
  Page(const RunRecord& run, const std::vector<Chart>& charts,
       const std::vector<std::string>& drawings)
      : run_(run),
        summary_(run.summary),
        charts_(charts),
        drawings_(drawings),
        best_(run.results.ByRank()[0]) {}

  std::string Html() const {
    std::string body = Header();
    if (!drawings_.empty()) {
      body += Section("charts", "Charts", Charts());
    }
    body += Section("leaderboard", "Leaderboard", Leaderboard());
    body += Section("events", "Events", Events());
    body += Section("config", "Config", Config());
    body += Section("environment", "Environment", Environment());
    body += Section("files", "Files", Files());
    return absl::StrCat(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
        "<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, "
        "initial-scale=1\">\n<title>",
        EscapeXml(run_.config.name), " – ModelBatch</title>\n<style>",
        PageStyle(), "</style>\n</head>\n<body>\n", body,
        "<footer>Made by modelbatch ", kVersion, ".</footer>\n<script>",
        PageScript(), "</script>\n</body>\n</html>\n");
  }

 private:
  bool has_best() const { return run_.results.best_epochs[best_] > 0; }

  std::string Header() const {
    std::string out =
        absl::StrCat("<header>\n<h1>", EscapeXml(run_.config.name), "</h1>\n");
    absl::StrAppend(&out, "<p class=\"soft\">", EscapeXml(WhatWasTrained()),
                    "</p>\n", Notices(), Cards(), "<nav>");
    for (const auto& [id, title] :
         {std::pair("charts", "Charts"),
          std::pair("leaderboard", "Leaderboard"),
          std::pair("events", "Events"), std::pair("config", "Config"),
          std::pair("environment", "Environment"),
          std::pair("files", "Files")}) {
      if (drawings_.empty() && std::string(id) == "charts") continue;
      absl::StrAppend(&out, "<a href=\"#", id, "-title\">", title, "</a> ");
    }
    return out + "</nav>\n</header>\n";
  }

  std::string WhatWasTrained() const {
    const std::vector<std::string> labels = FieldLabels(run_.results);
    return absl::StrCat(
        Count(static_cast<int64_t>(run_.results.size()), "model"),
        labels.empty()
            ? ""
            : absl::StrCat(", swept over ", absl::StrJoin(labels, ", ")),
        "; ", run_.config.data.classification ? "classification" : "regression",
        " of ", Rows(), ", ", summary_.test_rows, " to test; ",
        run_.config.loss.kind, ", ", run_.config.optimizer.kind);
  }

  std::string Rows() const {
    const auto& folds = run_.config.data.folds;
    if (folds.has_value()) {
      return absl::StrCat(summary_.train_rows, " rows in ", folds->count,
                          " folds");
    }
    return absl::StrCat(summary_.train_rows, " rows to train, ",
                        summary_.validation_rows, " to validate");
  }

  std::string Notices() const {
    std::string text;
    const std::string done = absl::StrCat(
        summary_.epochs_done, " of ", Count(summary_.epochs_planned, "epoch"));
    if (run_.from_checkpoint) {
      text = absl::StrCat(
          "The run has not ended. This is its last checkpoint, "
          "after ",
          done, ".");
    } else if (!summary_.finished) {
      text = absl::StrCat("The run was interrupted after ", done,
                          ". modelbatch train --resume continues it.");
    }
    std::string out;
    if (!text.empty()) {
      out = absl::StrCat("<p class=\"notice\">", EscapeXml(text), "</p>\n");
    }
    if (!has_best()) {
      absl::StrAppend(&out,
                      "<p class=\"notice\">No model has finished an "
                      "epoch: there are no scores.</p>\n");
    }
    return out;
  }

  // The first line is the accuracy where there is one, the second the loss.
  std::string ScoreCard(const std::string& title,
                        const std::string& part) const {
    std::vector<std::string> lines;
    for (const char* metric : {"accuracy", "loss"}) {
      const std::string name = absl::StrCat(part, "_", metric);
      const ResultsColumn* column = run_.results.FindScore(name);
      if (column == nullptr || !column->numeric()) continue;
      const std::string shown = ShownScore(name, column->values[best_]);
      if (shown == "-") continue;
      lines.push_back(lines.empty() && name == part + "_accuracy"
                          ? shown
                          : absl::StrCat(metric, " ", shown));
    }
    if (lines.empty()) return "";
    return Card(title, lines[0], lines.size() > 1 ? lines[1] : "");
  }

  std::string Cards() const {
    const ResultsTable& results = run_.results;
    std::string out = "<dl class=\"cards\">\n";
    if (has_best()) {
      std::vector<std::string> values;
      const std::vector<std::string> labels = FieldLabels(results);
      for (size_t i = 0; i < labels.size(); ++i) {
        const ResultsColumn& column = results.swept[i];
        values.push_back(absl::StrCat(labels[i], " ",
                                      column.numeric()
                                          ? FormatNumber(column.values[best_])
                                          : column.texts[best_]));
      }
      values.push_back(absl::StrCat("epoch ", results.best_epochs[best_]));
      absl::StrAppend(
          &out,
          Card(absl::StrCat("Best by ", Spoken(summary_.selected_by)),
               absl::StrCat("model ", results.models[best_]),
               absl::StrJoin(values, ", ")),
          ScoreCard("Its validation score", "validation"),
          ScoreCard("Its test score", "test"));
    }
    int64_t frozen = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      frozen += results.IsFrozen(static_cast<int>(i)) ? 1 : 0;
    }
    absl::StrAppend(
        &out,
        Card("Models", absl::StrCat(results.size()),
             frozen == 0 ? "none frozen" : absl::StrCat(frozen, " frozen")),
        Card("Epochs", absl::StrCat(summary_.epochs_done),
             Count(summary_.steps, "step")));
    if (!summary_.started.empty()) {
      absl::StrAppend(
          &out, Card(summary_.resumed ? "Time since it was resumed" : "Time",
                     FormatDuration(summary_.seconds),
                     absl::StrCat(FormatCount(summary_.model_rows_per_second),
                                  " rows x models a second")));
    }
    absl::StrAppend(&out, Card("Backend", summary_.backend, summary_.device),
                    "</dl>\n");
    return out;
  }

  std::string Charts() const {
    std::string out = absl::StrCat(
        "<p class=\"soft\">", EscapeXml(charts_[0].note),
        ". Point at a line or a point to see which model it is.</p>\n"
        "<div class=\"charts\">\n");
    for (size_t i = 0; i < drawings_.size(); ++i) {
      absl::StrAppend(&out, "<figure><figcaption>", EscapeXml(charts_[i].title),
                      "</figcaption><div class=\"chart\">\n", drawings_[i],
                      "</div></figure>\n");
    }
    return out + "</div>\n";
  }

  std::string Leaderboard() const {
    const size_t models = run_.results.size();
    std::string out =
        "<p class=\"soft\">Each model with the weights of its best epoch. A "
        "click on a column sorts by it.</p>\n";
    out += LeaderboardTable(run_, kMaxRows);
    if (models > kMaxRows) {
      absl::StrAppend(&out, "<p class=\"soft\">The best ", kMaxRows, " of ",
                      models, "; results.csv has all.</p>\n");
    }
    return out;
  }

  std::string Events() const {
    std::vector<Event> events;
    for (const RunEvent& line : run_.events) {
      if (line.event.has_value()) events.push_back(*line.event);
    }
    const std::string counts = CountEvents(events);
    std::string out = absl::StrCat(
        "<p class=\"soft\">",
        counts.empty() ? "No model was frozen, reset, replaced or removed."
                       : EscapeXml(counts) + ".",
        "</p>\n", EventsTable(run_, kMaxRows));
    if (run_.events.size() > kMaxRows) {
      absl::StrAppend(&out, "<p class=\"soft\">The first ", kMaxRows, " of ",
                      run_.events.size(), "; events.jsonl has all.</p>\n");
    }
    return out;
  }

  std::string Config() const {
    return absl::StrCat(
        "<p class=\"soft\">config.resolved.toml: training from it repeats the "
        "run.</p>\n<pre><code>",
        EscapeXml(run_.config_text), "</code></pre>\n");
  }

  std::string Environment() const {
    const RunSummary& s = summary_;
    std::string out = Facts(
        {{"backend", absl::StrCat(s.backend, " ", s.backend_version)},
         {"device", s.device},
         {"build id", s.backend_build_id},
         {"plugin", s.backend_path},
         {"modelbatch", s.modelbatch_version},
         {"processor", absl::StrCat(s.processor, ", ", Count(s.cpus, "CPU"))},
         {"host", s.host},
         {"system", s.system},
         {"started", s.started},
         {"ended", s.ended},
         {"memory",
          s.state_bytes > 0
              ? absl::StrCat(FormatCount(s.state_bytes), "B of state, ",
                             FormatCount(s.workspace_bytes), "B of workspace")
              : ""}});
    if (!s.plan.empty()) {
      absl::StrAppend(&out,
                      "<p class=\"soft\">The plan of a step:</p>\n"
                      "<pre><code>",
                      EscapeXml(s.plan), "</code></pre>\n");
    }
    return out;
  }

  std::string Files() const {
    const std::string folder = run_.folder + "/";
    return Facts(
        {{folder + "results.csv", "a line a model: what the leaderboard shows"},
         {folder + "curves.csv", "a line an epoch and model"},
         {folder + "summary.json", "the best model, environment, times"},
         {folder + "events.jsonl", "what was done to models, if anything"},
         {folder + "config.resolved.toml", "the experiment as it was run"},
         {folder + "checkpoint.safetensors",
          "the whole state: resume, verify and predict use it"},
         {folder + "models/model_<id>.safetensors",
          "weights of a model's best epoch, under PyTorch's names"}});
  }

  const RunRecord& run_;
  const RunSummary& summary_;
  const std::vector<Chart>& charts_;
  const std::vector<std::string>& drawings_;
  const int best_;  // index in the results
};

}  // namespace

std::string ReportPage(const RunRecord& run, const std::vector<Chart>& charts,
                       const std::vector<std::string>& drawings) {
  return Page(run, charts, drawings).Html();
}

}  // namespace modelbatch
