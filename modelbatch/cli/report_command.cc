#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/output_file.h"
#include "modelbatch/cli/shown_models.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/plot/draw.h"
#include "modelbatch/plot/run_charts.h"
#include "modelbatch/report/report_page.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_record.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::StatusOr<int> Report(const ReportCommand& command) {
  const std::string output =
      command.output.empty() ? command.run + "/report.html" : command.output;
  MB_RETURN_IF_ERROR(CheckOutputFile(output, "<!DOCTYPE html>", "report"));
  MB_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Open(command.run));
  MB_ASSIGN_OR_RETURN(const RunRecord run, ReadRunRecord(folder));
  std::vector<Chart> charts;
  std::vector<std::string> drawings;
  if (!command.no_plots) {
    ChartOptions options;
    MB_ASSIGN_OR_RETURN(options.choice,
                        ShownModels(run, command.models, command.top));
    absl::StatusOr<std::vector<Chart>> found = RunCharts(run, options);
    // Where nothing can be drawn, the page has the rest.
    if (!found.ok() && !absl::IsFailedPrecondition(found.status())) {
      return found.status();
    }
    if (found.ok()) charts = *std::move(found);
    MB_ASSIGN_OR_RETURN(drawings, DrawCharts(charts, Target::kInlineSvg));
  }
  MB_RETURN_IF_ERROR(
      WriteFileAtomically(output, ReportPage(run, charts, drawings)));
  if (!command.quiet) std::cout << output << std::endl;
  return kExitOk;
}

}  // namespace

int RunReport(const ReportCommand& command) {
  const absl::StatusOr<int> code = Report(command);
  return code.ok() ? *code : ReportError(code.status());
}

}  // namespace modelbatch
