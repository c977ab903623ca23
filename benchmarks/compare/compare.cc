// ModelBatch against the other ways to train many networks, on a CPU or on a
// CUDA device.
//
//   compare [--device=cuda] [--workload=mlp_small,...] [--models=32,128]
//   [--peers=...] ...
//
// For every workload and number of models it starts every peer in every
// arrangement, checks that all train the same run, and times them: they take
// turns, round by round, together with the limits of the machine. It prints
// tables and writes <date>.json with every sample, <date>.md with the tables
// for a README, and <date>-<workload>.svg with a plot.
#include <sys/utsname.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "benchmarks/check.h"
#include "benchmarks/compare/agreement.h"
#include "benchmarks/compare/caches.h"
#include "benchmarks/compare/contender.h"
#include "benchmarks/compare/libtorch_trainer.h"
#include "benchmarks/compare/measured_limits.h"
#include "benchmarks/compare/peers.h"
#include "benchmarks/compare/plot.h"
#include "benchmarks/compare/report.h"
#include "benchmarks/compare/sampling.h"
#include "benchmarks/compare/system_load.h"
#include "benchmarks/step_traffic.h"
#include "benchmarks/workload.h"
#include "benchmarks/workload_table.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"
#include "modelbatch/util/version.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::vector<std::string>, workload, {},
          "workloads of benchmarks/workload_table.cc; if not given, all but "
          "those for a GPU");
ABSL_FLAG(std::vector<std::string>, models, {},
          "numbers of models; those of the workload if not given");
ABSL_FLAG(std::vector<std::string>, peers, {},
          "who is compared with ModelBatch; all if not given: libtorch, "
          "libtorch-fused, torch-vmap, torch-compile, torch-baddbmm, jax, "
          "jax-scan");
ABSL_FLAG(std::string, device, "cpu",
          "what all train on: cpu, or cuda: the first CUDA device. There the "
          "peers are torch-loop, torch-graph, torch-compile-graph and those "
          "written in Python, and "
          "the limits are cuda_limits_benchmark's");
ABSL_FLAG(std::string, precision, "fp32",
          "of everybody's products: fp32, tf32 (of CUDA devices) or bf16");
ABSL_FLAG(bool, compile, false,
          "ModelBatch's steps are compiled: its kernels chosen by measurement, "
          "or, with cuda, launched as CUDA graphs");
ABSL_FLAG(std::vector<std::string>, backend, {},
          "ModelBatch's backends: names, or paths of plugins; the device's if "
          "not given. The first is what the others are compared with");
ABSL_FLAG(int, threads, 0, "of ModelBatch; 0: the backend's choice");
ABSL_FLAG(int, cpus, 0,
          "that the other peers are arranged for; 0: the machine's, 1: each in "
          "one process on one thread");
ABSL_FLAG(std::vector<std::string>, peer_command, {},
          "NAME=COMMAND: a peer of your own, a program that answers as "
          "benchmarks/compare/worker_process.h says");
ABSL_FLAG(int, rounds, 9, "samples of each contender");
ABSL_FLAG(int, neighbour_rounds, 3,
          "samples of each contender while another process keeps one CPU "
          "busy; 0: none");
ABSL_FLAG(int, machine_rounds, 3,
          "samples of each limit of the machine; 0: none");
ABSL_FLAG(double, sample_seconds, 0.5, "least time of a sample");
ABSL_FLAG(double, disturbance, 0.04,
          "share of the CPUs that others may use during a sample");
ABSL_FLAG(int, retries, 10, "of a disturbed sample, then it is kept as it is");
ABSL_FLAG(double, patience, 60, "seconds to wait for a quiet machine");
ABSL_FLAG(bool, check_only, false, "stops when all have agreed");
ABSL_FLAG(std::string, output, "",
          "folder of the results; benchmarks/results if not given");

namespace modelbatch::benchmarks {
namespace {

using nlohmann::json;

// Results are folders of a user's: no name is used twice.
std::string Stem(const std::filesystem::path& folder) {
  const std::time_t now = std::time(nullptr);
  char date[16];
  std::strftime(date, sizeof(date), "%Y-%m-%d", std::localtime(&now));
  std::string stem = date;
  for (int n = 2; std::filesystem::exists(folder / (stem + ".json")); ++n) {
    stem = absl::StrCat(date, "-", n);
  }
  return (folder / stem).string();
}

[[noreturn]] void Refuse(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

SamplingOptions Options() {
  SamplingOptions options;
  options.sample_seconds = absl::GetFlag(FLAGS_sample_seconds);
  options.disturbance = absl::GetFlag(FLAGS_disturbance);
  options.retries = absl::GetFlag(FLAGS_retries);
  options.patience = absl::GetFlag(FLAGS_patience);
  return options;
}

bool OnCpu() { return absl::GetFlag(FLAGS_device) == "cpu"; }

json OptionsJson() {
  return {{"device", absl::GetFlag(FLAGS_device)},
          {"precision", absl::GetFlag(FLAGS_precision)},
          {"compile", absl::GetFlag(FLAGS_compile)},
          {"rounds", absl::GetFlag(FLAGS_rounds)},
          {"neighbour_rounds", absl::GetFlag(FLAGS_neighbour_rounds)},
          {"sample_seconds", absl::GetFlag(FLAGS_sample_seconds)},
          {"disturbance", absl::GetFlag(FLAGS_disturbance)},
          {"retries", absl::GetFlag(FLAGS_retries)},
          {"patience", absl::GetFlag(FLAGS_patience)},
          {"threads", absl::GetFlag(FLAGS_threads)},
          {"cpus", absl::GetFlag(FLAGS_cpus)},
          {"steps_per_run", Workload::kSteps}};
}

json MachineJson() {
  const Caches caches = CachesOfThisMachine();
  utsname system;
  uname(&system);
  return {{"cpu", CpuModel()},
          {"cpus", NumCpus()},
          {"l1_bytes", caches.l1},
          {"l2_bytes", caches.l2},
          {"l3_bytes", caches.l3},
          {"system", absl::StrCat(system.sysname, " ", system.release)}};
}

// The commit that was built, as far as the working tree tells.
std::string Commit() {
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace == nullptr) return "unknown";
  const std::string command = absl::StrCat(
      "git -C '", workspace, "' describe --always --dirty 2>/dev/null");
  FILE* const git = popen(command.c_str(), "r");
  char commit[128] = "";
  if (git == nullptr) return "unknown";
  const bool read = std::fgets(commit, sizeof(commit), git) != nullptr;
  if (pclose(git) != 0 || !read) return "unknown";
  return std::string(commit).substr(0, std::string(commit).find('\n'));
}

json SamplesJson(const Samples& samples) {
  std::vector<double> milliseconds;
  for (const double seconds : samples.seconds) {
    milliseconds.push_back(1e3 * seconds);
  }
  return {{"ms_per_step", milliseconds},
          {"median_ms_per_step", 1e3 * samples.Median()},
          {"min_ms_per_step", 1e3 * samples.Min()},
          {"max_ms_per_step", 1e3 * samples.Max()},
          {"cpu_share_of_others", samples.others},
          {"samples_discarded", samples.discarded},
          {"samples_disturbed", samples.disturbed}};
}

json DifferenceJson(const Difference& difference) {
  return {{"median", difference.median}, {"norm", difference.norm}};
}

json AllowedJson() {
  const Allowed allowed = AllowedIn(absl::GetFlag(FLAGS_precision));
  json result = DifferenceJson(allowed.after_run);
  result["after_one_step"] = {{"median", allowed.after_one}};
  return result;
}

json ContenderJson(const Contender& contender, const Workload& workload) {
  json result = {{"name", contender.Name()},
                 {"peer", contender.peer->name},
                 {"what", contender.peer->what},
                 {"arrangement", contender.arrangement.Name()}};
  if (contender.group == nullptr) {
    result["not_run"] = contender.reason;
    return result;
  }
  result["processes"] = contender.group->processes();
  const Agreement& agreement = contender.agreement;
  result["weights_differ_by"] = {
      {"after_one_step", DifferenceJson(agreement.after_one)},
      {"after_run", DifferenceJson(agreement.after_run)},
      {"steps_of_run", agreement.steps}};
  result["seconds_to_first_step"] = contender.group->seconds_to_ready();
  result["versions"] = contender.group->versions();
  if (contender.quiet.seconds.empty()) return result;
  const Memory memory = contender.group->memory();
  const double median = contender.quiet.Median();
  result.update(SamplesJson(contender.quiet));
  result["models_per_second"] = workload.models() / median;
  result["rows_per_second"] =
      static_cast<double>(workload.RowsPerStep()) / median;
  result["gflops"] = 1e-9 * workload.Flops() / median;
  result["peak_rss_bytes"] = memory.peak;
  result["peak_rss_bytes_per_model"] =
      static_cast<double>(memory.peak - memory.before) / workload.models();
  if (!contender.disturbed_by_neighbour.seconds.empty()) {
    result["neighbour"] = SamplesJson(contender.disturbed_by_neighbour);
  }
  return result;
}

// `limits` may be null.
absl::Status TakeSamples(std::vector<Contender>* contenders,
                         StepLimits* limits) {
  const SamplingOptions options = Options();
  std::vector<std::pair<Contender*, Timed>> timed;
  for (Contender& contender : *contenders) {
    if (contender.group == nullptr) continue;
    timed.push_back(
        {&contender, Timed(contender.group.get(), Workload::kSteps)});
    MB_RETURN_IF_ERROR(timed.back().second.Calibrate(options, false));
  }
  if (limits != nullptr) MB_RETURN_IF_ERROR(limits->Calibrate(options));
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (auto& [contender, one] : timed) {
      MB_RETURN_IF_ERROR(one.Sample(options, nullptr, &contender->quiet));
    }
    if (limits != nullptr) MB_RETURN_IF_ERROR(limits->Sample(options));
  }
  if (absl::GetFlag(FLAGS_neighbour_rounds) == 0) return absl::OkStatus();
  const BusyNeighbour neighbour;
  for (int round = 0; round < absl::GetFlag(FLAGS_neighbour_rounds); ++round) {
    for (auto& [contender, one] : timed) {
      MB_RETURN_IF_ERROR(
          one.Sample(options, &neighbour, &contender->disturbed_by_neighbour));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<json> Compare(const WorkloadEntry& entry, int models,
                             const std::vector<Peer>& peers,
                             const std::string& scratch) {
  const Workload workload = MakeWorkload(entry, models);
  std::vector<Contender> contenders = MakeContenders(peers, workload);
  const std::string precision = absl::GetFlag(FLAGS_precision);
  MB_RETURN_IF_ERROR(StartAndCheck(workload, scratch, precision, &contenders));
  json cell = {{"workload", workload.name},
               {"networks", workload.networks},
               {"models", models},
               {"precision", precision},
               {"rows_per_step", workload.RowsPerStep()},
               {"flop_per_step", workload.Flops()},
               {"parameters", workload.Parameters(0, models)},
               {"agreement_without_dropout", workload.HasDropout()},
               {"contenders", json::array()}};
  if (!OnCpu()) {
    MB_ASSIGN_OR_RETURN(const cuda::Traffic traffic,
                        StepTraffic(workload, precision));
    cell["scheduled_bytes"] = {
        {"weights", traffic.weights},     {"activations", traffic.activations},
        {"gradients", traffic.gradients}, {"update", traffic.update},
        {"data", traffic.data},           {"tables", traffic.tables},
        {"total", traffic.total()}};
  }
  if (!absl::GetFlag(FLAGS_check_only)) {
    cell["limits"] = json::array();
    std::unique_ptr<StepLimits> limits;
    if (OnCpu()) {
      MB_ASSIGN_OR_RETURN(StepLimits started,
                          StepLimits::Start(workload, scratch));
      limits = std::make_unique<StepLimits>(std::move(started));
    }
    MB_RETURN_IF_ERROR(TakeSamples(&contenders, limits.get()));
    if (limits != nullptr) cell["limits"] = limits->ToJson();
  }
  for (const Contender& contender : contenders) {
    cell["contenders"].push_back(ContenderJson(contender, workload));
  }
  return cell;
}

// Of all there are, ModelBatch's and those that are asked for.
std::vector<Peer> ChosenPeers(const std::string& program) {
  PeerOptions options;
  options.device = absl::GetFlag(FLAGS_device);
  options.backends = absl::GetFlag(FLAGS_backend);
  if (options.backends.empty()) options.backends = {options.device};
  options.threads = absl::GetFlag(FLAGS_threads);
  options.compile = absl::GetFlag(FLAGS_compile);
  options.precision = absl::GetFlag(FLAGS_precision);
  options.commands = absl::GetFlag(FLAGS_peer_command);
  options.cpus = absl::GetFlag(FLAGS_cpus);
  if (options.cpus == 0) options.cpus = NumCpus();
  options.program = program;
  // Before anything is measured; workers load them.
  for (const std::string& backend : options.backends) {
    if (absl::StrContains(backend, '/')) {
      if (!std::filesystem::exists(backend)) {
        Refuse(absl::StrCat("--backend: there is no file ", backend));
      }
    } else if (backend != "auto") {
      Check(FindPlugin(backend).status());
    }
  }
  std::vector<Peer> all = Take(AllPeers(options));
  const std::vector<std::string> wanted = absl::GetFlag(FLAGS_peers);
  if (wanted.empty()) return all;
  std::vector<Peer> chosen;
  for (const Peer& peer : all) {
    const bool own =
        &peer - all.data() < static_cast<int64_t>(options.backends.size()) ||
        &peer - all.data() >=
            static_cast<int64_t>(all.size() - options.commands.size());
    if (own ||
        std::find(wanted.begin(), wanted.end(), peer.name) != wanted.end()) {
      chosen.push_back(peer);
    }
  }
  for (const std::string& name : wanted) {
    const bool known =
        std::any_of(all.begin(), all.end(),
                    [&](const Peer& peer) { return peer.name == name; });
    if (known) continue;
    Refuse(absl::StrCat(
        "--peers has \"", name, "\"; there are: ",
        absl::StrJoin(all, ", ", [](std::string* out, const Peer& peer) {
          *out += peer.name;
        })));
  }
  return chosen;
}

std::vector<int> Populations(const WorkloadEntry& entry) {
  std::vector<int> populations;
  for (const std::string& text : absl::GetFlag(FLAGS_models)) {
    int models = 0;
    if (!absl::SimpleAtoi(text, &models) || models < 1) {
      Refuse(
          absl::StrCat("--models has \"", text, "\", expected numbers from 1"));
    }
    populations.push_back(models);
  }
  return populations.empty() ? entry.populations : populations;
}

// Written after every cell, so that an interrupted run leaves what it had.
void WriteResults(const json& results, const std::string& stem) {
  const auto write = [](const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) {
      Check(absl::InternalError(absl::StrCat("cannot write ", path)));
    }
  };
  write(stem + ".json", results.dump(1) + "\n");
  if (absl::GetFlag(FLAGS_check_only)) return;
  write(stem + ".md", Markdown(results));
  for (const std::string& workload : WorkloadsOf(results)) {
    if (CellsOf(results, workload).size() < 2) continue;
    const absl::Status plotted = PlotScaling(
        results, workload, absl::StrCat(stem, "-", workload, ".svg"));
    if (!plotted.ok()) {
      std::fprintf(stderr, "%s\n", std::string(plotted.message()).c_str());
    }
  }
}

void CheckFlags() {
  const std::string device = absl::GetFlag(FLAGS_device);
  if (device != "cpu" && device != "cuda") {
    Refuse(absl::StrCat("--device has \"", device, "\", expected cpu or cuda"));
  }
  const std::string precision = absl::GetFlag(FLAGS_precision);
  if (precision != "fp32" && precision != "tf32" && precision != "bf16") {
    Refuse(absl::StrCat("--precision has \"", precision,
                        "\", expected fp32, tf32 or bf16"));
  }
  if (absl::GetFlag(FLAGS_rounds) < 1) Refuse("--rounds must be at least 1");
  if (absl::GetFlag(FLAGS_neighbour_rounds) < 0 ||
      absl::GetFlag(FLAGS_machine_rounds) < 0 ||
      absl::GetFlag(FLAGS_retries) < 0 || absl::GetFlag(FLAGS_threads) < 0 ||
      absl::GetFlag(FLAGS_cpus) < 0) {
    Refuse("numbers of rounds, retries, threads and CPUs must not be negative");
  }
  if (!(absl::GetFlag(FLAGS_sample_seconds) > 0)) {
    Refuse("--sample_seconds must be above 0");
  }
}

std::filesystem::path OutputFolder() {
  const std::string given = absl::GetFlag(FLAGS_output);
  if (!given.empty()) return given;
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  return std::filesystem::path(workspace == nullptr ? "." : workspace) /
         "benchmarks/results";
}

int Main(int argc, char** argv) {
  absl::SetProgramUsageMessage(absl::StrCat(
      "ModelBatch against LibTorch, torch.func, torch.compile, torch.baddbmm "
      "and JAX, on the workloads of benchmarks/workload_table.cc. A whole run "
      "takes some hours; for a first look:\n\n  ",
      argv[0], " --workload=mlp_small --models=32 --rounds=3"));
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "benchmarks/compare/compare.cc");
  };
  absl::SetFlagsUsageConfig(usage);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    Refuse(absl::StrCat("\"", rest[1], "\" is no flag; --help lists them"));
  }
  CheckFlags();
  std::vector<std::pair<const WorkloadEntry*, int>> cells;
  std::vector<std::string> workloads = absl::GetFlag(FLAGS_workload);
  if (workloads.empty()) {
    for (const WorkloadEntry& entry : WorkloadTable()) {
      if (entry.large) continue;
      workloads.push_back(entry.name);
    }
  }
  for (const std::string& name : workloads) {
    const WorkloadEntry& entry = FindWorkload(name);
    for (const int models : Populations(entry))
      cells.push_back({&entry, models});
  }
  const std::vector<Peer> peers = ChosenPeers(argv[0]);
  const std::filesystem::path folder = OutputFolder();
  std::filesystem::create_directories(folder);
  const std::string stem = Stem(folder);
  std::string scratch =
      (std::filesystem::temp_directory_path() / "compare-XXXXXX").string();
  if (mkdtemp(scratch.data()) == nullptr) {
    Check(absl::InternalError(absl::StrCat("cannot make ", scratch)));
  }

  absl::PrintF("%s, %d CPUs, load average %.2f\n", CpuModel(), NumCpus(),
               LoadAverage());
  json results = {{"machine", MachineJson()},
                  {"options", OptionsJson()},
                  {"versions",
                   {{"modelbatch", kVersion},
                    {"commit", Commit()},
                    {"compiler", __VERSION__},
                    {"libtorch", LibTorchVersion()}}},
                  {"agreement_within", AllowedJson()},
                  {"load_average_before", LoadAverage()},
                  {"machine_limits", json::array()},
                  {"cells", json::array()}};
  if (absl::GetFlag(FLAGS_machine_rounds) > 0 && OnCpu() &&
      !absl::GetFlag(FLAGS_check_only)) {
    results["machine_limits"] = Take(MeasureMachine(
        Options(), absl::GetFlag(FLAGS_machine_rounds), scratch));
    absl::PrintF("%s", MachineTable(results["machine_limits"]));
  }
  absl::Status status;
  for (const auto& [entry, models] : cells) {
    absl::StatusOr<json> cell = Compare(*entry, models, peers, scratch);
    if (!cell.ok()) {
      status = cell.status();
      break;
    }
    results["cells"].push_back(*std::move(cell));
    results["load_average_after"] = LoadAverage();
    if (absl::GetFlag(FLAGS_check_only)) {
      absl::PrintF("%s, %d models: all agree\n", entry->name, models);
    } else {
      absl::PrintF("%s", CellTable(results["cells"].back()));
    }
    std::fflush(stdout);
    WriteResults(results, stem);
  }
  std::filesystem::remove_all(scratch);
  Check(status);
  absl::PrintF("\nwritten: %s.json\n", stem);
  return 0;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  return modelbatch::benchmarks::Main(argc, argv);
}
