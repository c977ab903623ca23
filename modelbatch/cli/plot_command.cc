#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/shown_models.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/plot/draw.h"
#include "modelbatch/plot/run_charts.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_record.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && std::filesystem::is_directory(path, error)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot create the folder ", path, ": ",
                   error ? error.message() : "a file has this name"));
}

absl::StatusOr<int> Plot(const PlotCommand& command) {
  MB_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Open(command.run));
  MB_ASSIGN_OR_RETURN(const RunRecord run, ReadRunRecord(folder));
  ChartOptions options;
  options.curves = command.what != "parameters";
  options.fields = command.what != "curves";
  options.metrics = command.metrics;
  MB_ASSIGN_OR_RETURN(options.choice,
                      ShownModels(run, command.models, command.top));
  MB_ASSIGN_OR_RETURN(const std::vector<Chart> charts, RunCharts(run, options));
  std::vector<std::pair<std::string, std::string>> files;  // path, content
  const std::string output =
      command.output.empty() ? folder.path() + "/plots" : command.output;
  for (const auto& [format, target] :
       {std::pair("svg", Target::kSvg), std::pair("png", Target::kPng)}) {
    if (command.format != "both" && command.format != format) continue;
    MB_ASSIGN_OR_RETURN(std::vector<std::string> drawings,
                        DrawCharts(charts, target));
    for (size_t i = 0; i < charts.size(); ++i) {
      files.emplace_back(absl::StrCat(output, "/", charts[i].name, ".", format),
                         std::move(drawings[i]));
    }
  }
  MB_RETURN_IF_ERROR(MakeFolder(output));
  std::sort(files.begin(), files.end());
  for (const auto& [path, content] : files) {
    MB_RETURN_IF_ERROR(WriteFileAtomically(path, content));
    if (!command.quiet) std::cout << path << "\n";
  }
  std::cout << std::flush;
  if (run.from_checkpoint && !command.quiet) {
    std::cerr << "note: the run has not ended; this is its last checkpoint, "
              << run.summary.epochs_done << " of " << run.summary.epochs_planned
              << " epochs" << std::endl;
  }
  return kExitOk;
}

}  // namespace

int RunPlot(const PlotCommand& command) {
  const absl::StatusOr<int> code = Plot(command);
  return code.ok() ? *code : ReportError(code.status());
}

}  // namespace modelbatch
