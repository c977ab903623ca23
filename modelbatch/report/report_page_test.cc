#include "modelbatch/report/report_page.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plot/test_run.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunRecord SmallRun() {
  return TestRun(
      "model,optimizer.lr,rank,status,best_epoch,validation_loss,"
      "validation_accuracy,test_loss,test_accuracy\n"
      "0,0.001,2,ok,1,0.123456789,0.25,2,0.5\n"
      "1,0.002,1,\"frozen at step 3: </td><script>alert('x')</script>\",2,"
      "1,0.875,inf,0.75\n"
      "2,0.003,3,ok,,,,,\n");
}

TEST(ReportPageTest, CellsHaveTheNumbersOfTheFile) {
  const std::string html = ReportPage(SmallRun(), {}, {});
  EXPECT_THAT(html, HasSubstr("<td data-v=\"0.123456789\">0.1235</td>"));
  EXPECT_THAT(html, HasSubstr("<td data-v=\"0.875\">87.5 %</td>"));
  EXPECT_THAT(html, HasSubstr("<td data-v=\"Infinity\">inf</td>"));
  EXPECT_THAT(html, HasSubstr("<td data-v=\"\">-</td>"));
  // Sorted by rank.
  EXPECT_LT(html.find("<tr data-model=\"1\">"),
            html.find("<tr data-model=\"0\">"));
}

TEST(ReportPageTest, TheHeadlineIsAboutTheBest) {
  const std::string html = ReportPage(SmallRun(), {}, {});
  EXPECT_THAT(html, HasSubstr("<dd class=\"value\">model 1</dd><dd "
                              "class=\"soft\">lr 0.002, epoch 2</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>Its validation score</dt><dd "
                              "class=\"value\">87.5 %</dd><dd "
                              "class=\"soft\">loss 1</dd>"));
  EXPECT_THAT(html, HasSubstr("1 frozen"));
  EXPECT_THAT(html, Not(HasSubstr("id=\"charts-section\"")));
}

TEST(ReportPageTest, WhatComesFromTheRunIsNoMarkup) {
  RunRecord run = SmallRun();
  const std::string evil = "</pre><script>alert(\"1\")</script>";
  run.config.name = evil;
  run.config_text = evil;
  run.folder = evil;
  run.summary.plan = evil;
  run.summary.device = evil;
  run.summary.host = evil;
  run.summary.selected_by = evil;
  RunEvent line;
  line.what = evil;
  run.events.push_back(line);
  line.what.clear();
  line.event = Event();
  line.event->reason = evil;
  run.events.push_back(line);
  const std::string html = ReportPage(run, {}, {});
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, Not(HasSubstr("</pre><script")));
  EXPECT_THAT(html,
              HasSubstr("&lt;/pre&gt;&lt;script&gt;alert(&quot;1&quot;)"));
}

TEST(ReportPageTest, ARunThatHasNotEndedSaysSo) {
  RunRecord run = SmallRun();
  run.summary.epochs_done = 1;
  run.summary.epochs_planned = 3;
  EXPECT_THAT(ReportPage(run, {}, {}), Not(HasSubstr("class=\"notice\"")));
  run.summary.finished = false;
  EXPECT_THAT(ReportPage(run, {}, {}),
              HasSubstr("interrupted after 1 of 3 epochs"));
  run.from_checkpoint = true;
  EXPECT_THAT(ReportPage(run, {}, {}),
              HasSubstr("last checkpoint, after 1 of 3 epochs"));
}

}  // namespace
}  // namespace modelbatch
