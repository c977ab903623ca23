#include "modelbatch/cli/command_line.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "modelbatch/cli/child_probe.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/standard_streams.h"
#include "modelbatch/cli/usage_error.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/version.h"

namespace modelbatch {
namespace {

constexpr char kDescription[] =
    "Trains many small neural networks at once; each ends with exactly the "
    "bits it would have had alone.";

constexpr char kExamples[] = R"(Examples:
  modelbatch train digits.toml
  modelbatch train digits.toml --set optimizer.lr.max=0.3 --set train.epochs=5
  modelbatch train --resume runs/digits-1
  modelbatch verify runs/digits-1 --model 17
  modelbatch predict runs/digits-1 new.csv --top 8 --output predictions.csv
  modelbatch export runs/digits-1 --format pt --output weights
  modelbatch plot runs/digits-1
  modelbatch report runs/digits-1
  modelbatch backends

Exit codes: 0 done; 1 verify found a difference, or the machine failed;
2 bad input, with one message; 130 interrupted, with a checkpoint.)";

constexpr char kTrainExamples[] = R"(Examples:
  modelbatch train digits.toml
  modelbatch train digits.toml --backend cpu --threads 2 --output runs/first
  modelbatch train digits.toml --set optimizer.lr.max=0.3
  modelbatch train digits.toml --set "optimizer.lr={values=[0.01, 0.03]}" \
      --set population.models=16
  modelbatch train digits.toml --set model.layers[2].p=0.5
  modelbatch train digits.toml --init-from runs/digits-1/models
  modelbatch train digits.toml --init-from model.pt
  modelbatch train --resume runs/digits-1
  modelbatch train --resume runs/digits-1 --set train.epochs=60

Ctrl-C finishes the step and writes a checkpoint; --resume goes on from there,
and ends with the bits of a run that was never stopped. The config's keys:
docs/config.md.)";

constexpr char kVerifyExamples[] = R"(Examples:
  modelbatch verify runs/digits-1              the best model
  modelbatch verify runs/digits-1 --model 17
  modelbatch verify runs/digits-1 --model 3 --model 17
  modelbatch verify runs/digits-1 --top 8
  modelbatch verify runs/digits-1 --all

Exit code 0: equal bit for bit; 1: the first difference is printed. A backend
that does not promise equal bits repeats the first 20 steps, together and alone,
and is compared within a tolerance: docs/plugin-abi.md.)";

constexpr char kPredictExamples[] = R"(Examples:
  modelbatch predict runs/digits-1 new.csv             the best model
  modelbatch predict runs/digits-1 new.csv --model 17
  modelbatch predict runs/digits-1 new.csv --top 8     the mean of the 8 best
  modelbatch predict runs/digits-1 new.csv --all --output predictions.csv
  modelbatch predict runs/digits-1 new.csv --setting best    the mean of the best
                                                             setting's folds
  modelbatch predict runs/digits-1 new.csv --top 8 --output predictions.csv \
      --per-model
  modelbatch predict runs/mnist-1 t10k-images-idx3-ubyte.gz \
      --targets t10k-labels-idx1-ubyte.gz

DATA is of the format that the run was trained on. CSV has the same columns, in
their order, with or without those of the label: with targets the score is
printed too. Each model has the weights of its best epoch. The columns of the output: docs/commands.md.

Exit codes: 0 done; 2 bad input, with one message; 130 interrupted, nothing
written.)";

constexpr char kExportExamples[] = R"(Examples:
  modelbatch export runs/digits-1 --format pt --output weights       the best
  modelbatch export runs/digits-1 --format pt --output weights --all
  modelbatch export runs/digits-1 --format safetensors --top 8 --output weights

Writes model_<id>.pt or model_<id>.safetensors: the weights of each model's best
epoch under PyTorch's names. In Python:

  module.load_state_dict(torch.load("weights/model_17.pt", weights_only=True))

modelbatch train --init-from DIR reads such files. Files that are there are not
replaced.)";

constexpr char kPlotExamples[] = R"(Examples:
  modelbatch plot runs/digits-1                    all, into runs/digits-1/plots
  modelbatch plot runs/digits-1 --what curves --format png --top 10
  modelbatch plot runs/digits-1 --metric validation_loss --output pictures
  modelbatch plot runs/digits-1 --model 3 --model 17    these two alone

Learning curves have a line a model, the best ones in colour; of more than a
hundred others the quantiles are shown. Each swept number is shown against the
score that ranks the models, crosses are frozen ones. A run that has not ended
is shown as of its last checkpoint. Needs gnuplot (Debian: gnuplot-nox).)";

constexpr char kReportExamples[] = R"(Examples:
  modelbatch report runs/digits-1                  runs/digits-1/report.html
  modelbatch report runs/digits-1 --top 10 --output digits.html

One HTML page that needs nothing else: headline, charts as `modelbatch plot`
draws them, leaderboard (a click on a column sorts), events, config,
environment. A run that has not ended is shown as of its last checkpoint. Needs
gnuplot (Debian: gnuplot-nox), but for --no-plots.)";

constexpr char kBackendsExamples[] = R"(Examples:
  modelbatch backends
  modelbatch backends --probe ./libmodelbatch_mine.so --timeout 5

Each plugin is asked in a process of its own: one that crashes, hangs or exits
is reported, and nothing else happens.

Exit codes: with --probe, 0 when the plugin answers, be it that it cannot run
on this machine; 1 when it breaks a rule, crashes, exits or does not answer.
Without, 0 when any plugin is found.)";

void AddTrain(CLI::App* app, TrainCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "train", "Train the population that a TOML file describes.");
  sub->footer(kTrainExamples);
  sub->add_option("CONFIG", command->config, "the experiment, a TOML file");
  sub->add_option("--set", command->set,
                  "change one value of the config; repeatable")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  sub->add_option("--backend", command->backend,
                  "a backend's name, the path of a plugin, or auto: the best "
                  "that can train this; --resume keeps the run's own")
      ->type_name("NAME");
  sub->add_option("--threads", command->threads,
                  "threads of the backend; 0: it chooses")
      ->type_name("T")
      ->check(CLI::Range(0, 1024));
  sub->add_option("--output", command->output,
                  "folder of the run (runs/<name>-<number>)")
      ->type_name("DIR");
  sub->add_option("--init-from", command->init_from,
                  "weights to begin with: a folder of model_<id>.pt or "
                  ".safetensors, or one file for all models")
      ->type_name("PATH");
  sub->add_option("--resume", command->resume,
                  "continue the run in this folder")
      ->type_name("RUN");
  sub->add_flag("--force", command->force,
                "resume under another backend, build or machine");
  sub->add_flag("--quiet,-q", command->quiet, "print errors only");
}

// `what` begins what several models are good for: "the mean of ".
void AddModelChoice(CLI::App* sub, const std::string& what,
                    WantedModels* choice) {
  CLI::Option* model =
      sub->add_option("--model,--models", choice->models,
                      "a model's number, best or all; repeatable (best)")
          ->type_name("ID")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
  CLI::Option* top =
      sub->add_option("--top", choice->top,
                      what + "the best K, as the leaderboard ranks them")
          ->type_name("K")
          ->check(CLI::Range(1, 1000000))
          ->excludes(model);
  CLI::Option* all = sub->add_flag("--all", choice->all, what + "all models")
                         ->excludes(model)
                         ->excludes(top);
  sub->add_option("--setting", choice->setting,
                  "of a run with folds: " + what +
                      "a setting's models, by its number in folds.csv, or best")
      ->type_name("N")
      ->excludes(model)
      ->excludes(top)
      ->excludes(all);
}

void AddVerify(CLI::App* app, VerifyCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "verify", "Train models of a run alone and compare them bit for bit.");
  sub->footer(kVerifyExamples);
  sub->add_option("RUN", command->run, "the run's folder")->required();
  AddModelChoice(sub, "", &command->choice);
  sub->add_option("--backend", command->backend, "instead of the run's own")
      ->type_name("NAME");
  sub->add_option("--threads", command->threads,
                  "threads of the backend; 0: it chooses")
      ->type_name("T")
      ->check(CLI::Range(0, 1024));
}

void AddPredict(CLI::App* app, PredictCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "predict", "Predict new rows with one or several models of a run.");
  sub->footer(kPredictExamples);
  sub->add_option("RUN", command->run, "the run's folder")->required();
  sub->add_option("DATA", command->data,
                  "the rows, a file of the format that the run was trained on; "
                  "of CIFAR several")
      ->required();
  sub->add_option("--targets", command->targets,
                  "of runs on npy or idx: the file of DATA's targets; on npz: "
                  "their array (as in the run)")
      ->type_name("FILE|NAME");
  sub->add_option("--features", command->features,
                  "of runs on npz: the array of the features (as in the run)")
      ->type_name("NAME");
  AddModelChoice(sub, "the mean of ", &command->choice);
  sub->add_option("--output", command->output,
                  "write the predictions of all rows to this CSV file")
      ->type_name("FILE");
  sub->add_flag("--per-model", command->per_model,
                "with each model's own columns in it");
  sub->add_option("--backend", command->backend,
                  "a backend's name, the path of a plugin, or auto, instead "
                  "of the run's own")
      ->type_name("NAME");
  sub->add_option("--precision", command->precision,
                  "of matrix products, instead of the run's own: fp32 on any "
                  "backend")
      ->type_name("NAME");
  sub->add_option("--threads", command->threads,
                  "threads of the backend; 0: it chooses")
      ->type_name("T")
      ->check(CLI::Range(0, 1024));
  sub->add_flag("--quiet,-q", command->quiet, "print errors only");
}

void AddExport(CLI::App* app, ExportCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "export", "Write models of a run as files for PyTorch and others.");
  sub->footer(kExportExamples);
  sub->add_option("RUN", command->run, "the run's folder")->required();
  sub->add_option("--format", command->format,
                  "pt: a state_dict for torch.load; or safetensors")
      ->required()
      ->check(CLI::IsMember({"pt", "safetensors"}));
  AddModelChoice(sub, "", &command->choice);
  sub->add_option("--output", command->output, "the folder to write into")
      ->type_name("DIR")
      ->required();
}

void AddShownModels(CLI::App* sub, std::vector<std::string>* models,
                    int64_t* top) {
  CLI::Option* model =
      sub->add_option("--model,--models", *models,
                      "chart this model alone; repeatable (all)")
          ->type_name("ID")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
  sub->add_option("--top", *top, "so many of the best stand out (5)")
      ->type_name("K")
      ->check(CLI::Range(0, 100))
      ->excludes(model);
}

void AddPlot(CLI::App* app, PlotCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "plot", "Draw a run's learning curves, and what the swept numbers did.");
  sub->footer(kPlotExamples);
  sub->add_option("RUN", command->run, "the run's folder")->required();
  sub->add_option("--what", command->what,
                  "curves, parameters (the swept numbers) or all (all)")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"curves", "parameters", "all"}));
  sub->add_option("--metric", command->metrics,
                  "a column of curves.csv or a score of results.csv; "
                  "repeatable (all curves; the score that ranks the models)")
      ->type_name("NAME")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  AddShownModels(sub, &command->models, &command->top);
  sub->add_option("--format", command->format, "svg, png or both (both)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"svg", "png", "both"}));
  sub->add_option("--output", command->output,
                  "folder of the pictures (RUN/plots)")
      ->type_name("DIR");
  sub->add_flag("--quiet,-q", command->quiet, "print errors only");
}

void AddReport(CLI::App* app, ReportCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "report", "Write a run as one HTML page: leaderboard, charts, events.");
  sub->footer(kReportExamples);
  sub->add_option("RUN", command->run, "the run's folder")->required();
  AddShownModels(sub, &command->models, &command->top);
  sub->add_flag("--no-plots", command->no_plots, "without charts");
  sub->add_option("--output", command->output,
                  "the page's file (RUN/report.html)")
      ->type_name("FILE");
  sub->add_flag("--quiet,-q", command->quiet, "print errors only");
}

void AddBackends(CLI::App* app, BackendsCommand* command) {
  CLI::App* sub = app->add_subcommand(
      "backends", "List the backends, and what each has or why it cannot run.");
  sub->footer(kBackendsExamples);
  sub->add_option("--probe", command->probe,
                  "describe the plugin in this file instead")
      ->type_name("FILE");
  sub->add_option("--timeout", command->timeout,
                  "seconds that a plugin may take to answer (30)")
      ->type_name("S")
      ->check(CLI::Range(1, 86400));
}

// What RunSelf starts (child_probe.h): in no help text.
void AddProbeChild(CLI::App* app, std::string* path, std::string* name) {
  CLI::App* sub = app->add_subcommand(kProbeChildCommand)->group("");
  sub->add_option("PATH", *path)->required();
  sub->add_option("NAME", *name)->required();
}

// The library's exceptions end here.
int Dispatch(int argc, const char* const* argv) {
  CLI::App app(kDescription, "modelbatch");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("modelbatch ") + kVersion);
  app.require_subcommand(1);
  TrainCommand train;
  VerifyCommand verify;
  AddTrain(&app, &train);
  AddVerify(&app, &verify);
  PredictCommand predict;
  AddPredict(&app, &predict);
  ExportCommand export_models;
  AddExport(&app, &export_models);
  PlotCommand plot;
  AddPlot(&app, &plot);
  ReportCommand report;
  AddReport(&app, &report);
  BackendsCommand backends;
  AddBackends(&app, &backends);
  std::string probed_path;
  std::string probed_name;
  AddProbeChild(&app, &probed_path, &probed_name);
  RefuseEmptyValues(&app);
  if (argc <= 1) {
    std::cout << app.help();
    return kExitBadInput;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return ReportError(UsageError(app, argc, argv, error));
  }
  if (app.got_subcommand("train")) {
    if (train.config.empty() == train.resume.empty()) {
      return ReportError(absl::InvalidArgumentError(
          "train: expected a CONFIG file or --resume RUN; see modelbatch "
          "train --help"));
    }
    return RunTrain(train);
  }
  if (app.got_subcommand("verify")) return RunVerify(verify);
  if (app.got_subcommand("predict")) return RunPredict(predict);
  if (app.got_subcommand("export")) return RunExport(export_models);
  if (app.got_subcommand("plot")) return RunPlot(plot);
  if (app.got_subcommand("report")) return RunReport(report);
  if (app.got_subcommand("backends")) return RunBackends(backends);
  return RunProbeChild(probed_path, probed_name);
}

int ReportOutOfMemory() {
  return ReportError(absl::ResourceExhaustedError(
      "out of memory: smaller models or data are needed, or fewer models at "
      "once (train.models_at_once, or predict --top)"));
}

}  // namespace

std::string ProgramName() {
  return std::getenv("BUILD_WORKING_DIRECTORY") != nullptr
             ? "tools/bazel run //:modelbatch --"
             : "modelbatch";
}

int RunCommandLine(int argc, const char* const* argv) {
  OpenStandardStreams();
  SetLogSink(LogSeverity::kWarning, [](LogSeverity severity,
                                       std::string_view message) {
    std::cerr << LogSeverityName(severity) << ": " << message << std::endl;
  });
  // `bazel run` starts programs in their runfiles; paths mean the user's
  // folder.
  if (const char* folder = std::getenv("BUILD_WORKING_DIRECTORY")) {
    if (chdir(folder) != 0) {
      return ReportError(absl::NotFoundError(
          std::string("cannot enter the folder ") + folder));
    }
  }
  try {
    return FlushStandardOutput(Dispatch(argc, argv));
  } catch (const std::bad_alloc&) {
    return ReportOutOfMemory();
  } catch (const std::length_error&) {  // more than any machine has
    return ReportOutOfMemory();
  } catch (const std::exception& error) {
    return ReportError(absl::InternalError(error.what()));
  }
}

}  // namespace modelbatch
