// The subcommands of `modelbatch`, each with the options that the command line
// gave. They print, and return the process's exit code.
#ifndef MODELBATCH_CLI_COMMANDS_H_
#define MODELBATCH_CLI_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "modelbatch/cli/child_probe.h"

namespace modelbatch {

// How a person starts this program, for the commands that messages suggest.
std::string ProgramName();

struct TrainCommand {
  std::string config;            // empty with `resume`
  std::string resume;            // a run's folder
  std::vector<std::string> set;  // "optimizer.lr.max=0.3"
  std::string backend;           // empty: the config's
  std::string output;            // empty: the config's
  std::string init_from;         // empty: the config's
  int64_t threads = -1;          // below 0: the config's
  bool force = false;
  bool quiet = false;
};
int RunTrain(const TrainCommand& command);

// Which models of a run; at most one of these. None: the best.
struct WantedModels {
  std::vector<std::string> models;  // ids, "best" or "all"
  int64_t top = 0;                  // so many of the best
  bool all = false;
  std::string setting;  // of a run with folds: its number, or "best"
};

struct VerifyCommand {
  std::string run;  // its folder
  WantedModels choice;
  std::string backend;
  int64_t threads = -1;
};
int RunVerify(const VerifyCommand& command);

struct PredictCommand {
  std::string run;                // its folder
  std::vector<std::string> data;  // files of rows, in the run's format
  std::string features;           // npz: an array; empty: the run's
  std::string targets;            // npy, idx: a file; npz: an array
  WantedModels choice;
  std::string output;      // empty: none
  bool per_model = false;  // further columns of it
  std::string backend;     // empty: the run's
  std::string precision;   // empty: the run's
  int64_t threads = -1;    // below 0: the run's
  bool quiet = false;
};
int RunPredict(const PredictCommand& command);

struct ExportCommand {
  std::string run;     // its folder
  std::string format;  // "pt" or "safetensors"
  std::string output;  // a folder
  WantedModels choice;
};
int RunExport(const ExportCommand& command);

struct PlotCommand {
  std::string run;                   // its folder
  std::string what = "all";          // or "curves", "parameters"
  std::vector<std::string> metrics;  // none: curves.csv's, and what ranks
  std::vector<std::string> models;   // ids: these alone; none: all
  int64_t top = 5;                   // so many of the best stand out
  std::string format = "both";       // or "svg", "png"
  std::string output;                // a folder; empty: RUN/plots
  bool quiet = false;
};
int RunPlot(const PlotCommand& command);

struct ReportCommand {
  std::string run;                  // its folder
  std::vector<std::string> models;  // as for PlotCommand
  int64_t top = 5;
  bool no_plots = false;
  std::string output;  // a file; empty: RUN/report.html
  bool quiet = false;
};
int RunReport(const ReportCommand& command);

struct BackendsCommand {
  std::string probe;                // a plugin's file; empty: all found
  int64_t timeout = kProbeSeconds;  // that a plugin may take to answer
};
int RunBackends(const BackendsCommand& command);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_COMMANDS_H_
