// ModelBatch against LibTorch that trains the same networks one after another.
//
//   compare_sequential [--models=32,128] [--workload=mlp] [--backend=cpu,...]
//                      [--rounds=9] [--output=NAME] ...
//
// Of several backends the first is the one that the others are compared with.
// LibTorch runs with torch::optim::Adam and with at::_fused_adam_, in one
// process with one thread and with as many as there are CPUs, and as that many
// single-threaded processes that share the models.
//
// Before anything is timed all must have trained the same run: weights agree
// norm-wise, tensor by tensor, after 20 steps. Then they take turns, round by
// round. A sample during which other programs used more than --disturbance of
// the CPUs is thrown away and taken again.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "benchmarks/libtorch_trainer.h"
#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/system_load.h"
#include "benchmarks/worker_process.h"
#include "benchmarks/workload.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::vector<std::string>, models,
          std::vector<std::string>({"32", "128"}), "population sizes");
ABSL_FLAG(int, rounds, 9, "samples of each contender");
ABSL_FLAG(double, sample_seconds, 0.5, "least time of a sample");
ABSL_FLAG(std::string, workload, "mlp", "what is trained: workload.h");
ABSL_FLAG(std::vector<std::string>, backend, std::vector<std::string>({"cpu"}),
          "ModelBatch backends: names or paths");
ABSL_FLAG(int, threads, 0, "of ModelBatch; 0: the backend's choice");
ABSL_FLAG(double, disturbance, 0.04,
          "share of the CPUs that others may use during a sample");
ABSL_FLAG(int, retries, 10, "of a disturbed sample, then it is kept as it is");
ABSL_FLAG(double, patience, 60, "seconds to wait for a quiet machine");
ABSL_FLAG(std::string, output, "",
          "writes benchmarks/results/<date>-<output>.json");

namespace modelbatch::benchmarks {
namespace {

// Norm-wise, of any tensor of any model, after kSteps: far above rounding and
// far below a wrong hyper-parameter.
constexpr double kAgreement = 1e-3;

struct Contender {
  std::string name;
  enum class Kind { kModelBatch, kOneProcess, kProcesses } kind;
  std::unique_ptr<WorkerGroup> group;
  int repeats = 1;
  std::vector<double> milliseconds;  // of a step, a sample each
  int disturbed = 0;                 // samples kept although disturbed
  int discarded = 0;
  double difference = 0;  // of the weights from the first contender's

  double Median() const {
    std::vector<double> sorted = milliseconds;
    std::sort(sorted.begin(), sorted.end());
    const size_t n = sorted.size();
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  }
  double Min() const {
    return *std::min_element(milliseconds.begin(), milliseconds.end());
  }
  double Max() const {
    return *std::max_element(milliseconds.begin(), milliseconds.end());
  }
};

std::vector<Contender> MakeContenders(const Workload& workload) {
  const int cpus = NumCpus();
  const int models = workload.models();
  std::vector<Contender> contenders;
  const auto add = [&](std::string name, Contender::Kind kind, int processes,
                       std::function<std::unique_ptr<Trainer>(int, int)> make) {
    std::vector<WorkerGroup::Part> parts;
    for (int p = 0; p < processes; ++p) {
      const int first = models * p / processes;
      const int last = models * (p + 1) / processes;
      if (first == last) continue;
      parts.push_back({workload.Parameters(first, last),
                       [=] { return make(first, last); }});
    }
    Contender contender;
    contender.name = std::move(name);
    contender.kind = kind;
    contender.group = std::make_unique<WorkerGroup>(std::move(parts));
    contenders.push_back(std::move(contender));
  };
  const auto libtorch = [&workload](int threads, bool fused) {
    return [&workload, threads, fused](int first, int last) {
      return MakeLibTorchTrainer(workload, first, last, {threads, fused});
    };
  };
  const int threads = absl::GetFlag(FLAGS_threads);
  for (const std::string& backend : absl::GetFlag(FLAGS_backend)) {
    add("modelbatch " + backend, Contender::Kind::kModelBatch, 1,
        [&workload, backend, threads](int, int) {
          return std::make_unique<ModelBatchTrainer>(workload, backend,
                                                     threads);
        });
  }
  for (bool fused : {false, true}) {
    const std::string name = fused ? "libtorch, fused adam" : "libtorch";
    add(name + ", 1 thread", Contender::Kind::kOneProcess, 1,
        libtorch(1, fused));
    if (cpus == 1) continue;
    add(absl::StrCat(name, ", ", cpus, " threads"),
        Contender::Kind::kOneProcess, 1, libtorch(cpus, fused));
    add(absl::StrCat(name, ", ", cpus, " processes"),
        Contender::Kind::kProcesses, cpus, libtorch(1, fused));
  }
  return contenders;
}

std::vector<int64_t> TensorSizes(const Workload& workload, int model) {
  const std::vector<int64_t> widths = workload.Widths(model);
  std::vector<int64_t> sizes;
  for (size_t l = 0; l + 1 < widths.size(); ++l) {
    sizes.push_back(widths[l + 1] * widths[l]);
    sizes.push_back(widths[l + 1]);
  }
  return sizes;
}

// The largest norm-wise difference of a tensor.
double LargestDifference(const Workload& workload, const std::vector<float>& a,
                         const std::vector<float>& b) {
  double largest = 0;
  int64_t at = 0;
  for (int i = 0; i < workload.models(); ++i) {
    for (const int64_t size : TensorSizes(workload, i)) {
      double difference = 0, norm = 0;
      for (int64_t e = 0; e < size; ++e, ++at) {
        const double d = static_cast<double>(a[at]) - b[at];
        difference += d * d;
        norm += static_cast<double>(b[at]) * b[at];
      }
      // The comparison is false for a NaN.
      const double relative = std::sqrt(difference / norm);
      largest = relative <= largest ? largest : relative;
    }
  }
  return largest;
}

// Exits unless all have the first one's weights after a run, and another than
// the initial ones.
void CheckAgreement(const Workload& workload,
                    std::vector<Contender>& contenders) {
  std::vector<float> initial, expected;
  for (const std::vector<float>& values : workload.initial) {
    initial.insert(initial.end(), values.begin(), values.end());
  }
  for (Contender& contender : contenders) {
    contender.group->Run(Workload::kSteps, 1);
    std::vector<float> weights = contender.group->Weights();
    if (expected.empty()) expected = weights;
    contender.difference = LargestDifference(workload, weights, expected);
    const double moved = LargestDifference(workload, weights, initial);
    if (contender.difference <= kAgreement && moved > 10 * kAgreement) continue;
    std::fprintf(stderr,
                 "%s does not train what %s trains: weights differ by %.3g, "
                 "from the initial ones by %.3g\n",
                 contender.name.c_str(), contenders[0].name.c_str(),
                 contender.difference, moved);
    std::exit(1);
  }
}

// Until nobody works: contenders wait, but their threads may still spin.
void WaitForQuiet() {
  constexpr double kWindow = 0.3;
  for (double waited = 0; waited < absl::GetFlag(FLAGS_patience);
       waited += kWindow) {
    const double busy = BusySeconds();
    std::this_thread::sleep_for(std::chrono::duration<double>(kWindow));
    const double allowed = absl::GetFlag(FLAGS_disturbance) * kWindow *
                           static_cast<double>(NumCpus());
    if (BusySeconds() - busy <= allowed + 0.01) return;
  }
}

void TakeSample(Contender& contender) {
  for (int attempt = 0;; ++attempt) {
    WaitForQuiet();
    const double busy = BusySeconds();
    const auto start = std::chrono::steady_clock::now();
    const Sample sample =
        contender.group->Run(Workload::kSteps, contender.repeats);
    const std::chrono::duration<double> elapsed =
        std::chrono::steady_clock::now() - start;
    const double others = BusySeconds() - busy - sample.cpu_seconds;
    const bool disturbed =
        others > absl::GetFlag(FLAGS_disturbance) * elapsed.count() * NumCpus();
    if (disturbed && attempt < absl::GetFlag(FLAGS_retries)) {
      ++contender.discarded;
      continue;
    }
    contender.disturbed += disturbed;
    contender.milliseconds.push_back(1e3 * sample.seconds / Workload::kSteps /
                                     contender.repeats);
    return;
  }
}

// The fastest median of a kind.
const Contender& Best(const std::vector<Contender>& contenders,
                      Contender::Kind kind) {
  const Contender* best = nullptr;
  for (const Contender& contender : contenders) {
    if (contender.kind != kind) continue;
    if (best == nullptr || contender.Median() < best->Median()) {
      best = &contender;
    }
  }
  return best == nullptr ? contenders.front() : *best;
}

nlohmann::json Compare(int models) {
  const Workload workload = MakeWorkload(absl::GetFlag(FLAGS_workload), models);
  std::vector<Contender> contenders = MakeContenders(workload);
  CheckAgreement(workload, contenders);
  for (Contender& contender : contenders) {
    const double seconds = contender.group->Run(Workload::kSteps, 1).seconds;
    contender.repeats = std::max(
        1, static_cast<int>(
               std::ceil(absl::GetFlag(FLAGS_sample_seconds) / seconds)));
  }
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (Contender& contender : contenders) TakeSample(contender);
  }

  const Contender& ours = contenders.front();
  nlohmann::json json = {{"models", models},
                         {"networks", workload.networks},
                         {"contenders", nlohmann::json::array()}};
  absl::PrintF("\n%d %s, batch %d, Adam\n", models, workload.networks,
               Workload::kRows);
  absl::PrintF("%-34s %9s %19s %11s %8s %11s %8s %9s\n", "", "ms/step",
               "min..max", "models/s", "GFLOP/s", "peak/model", "slower",
               "disturbed");
  for (Contender& contender : contenders) {
    const double median = contender.Median();
    const Memory memory = contender.group->memory();
    const double per_model =
        static_cast<double>(memory.peak - memory.before) / models;
    const double rate = models / (1e-3 * median);
    absl::PrintF(
        "%-34s %9.3f %9.3f..%8.3f %11.0f %8.1f %8.0f kB %7.2fx %4d of %d\n",
        contender.name, median, contender.Min(), contender.Max(), rate,
        rate / models * workload.Flops() * 1e-9, per_model / 1e3,
        median / ours.Median(), contender.disturbed,
        static_cast<int>(contender.milliseconds.size()));
    json["contenders"].push_back(
        {{"name", contender.name},
         {"processes", contender.group->processes()},
         {"ms_per_step", contender.milliseconds},
         {"median_ms_per_step", median},
         {"models_per_second", rate},
         {"gflops", rate / models * workload.Flops() * 1e-9},
         {"peak_rss_bytes", memory.peak},
         {"peak_rss_bytes_per_model", per_model},
         {"weights_differ_by", contender.difference},
         {"samples_discarded", contender.discarded},
         {"samples_disturbed", contender.disturbed}});
  }
  const auto ratio = [&](const char* key, Contender::Kind kind) {
    const Contender& best = Best(contenders, kind);
    json[key] = best.Median() / ours.Median();
    absl::PrintF("%.2fx the speed of %s\n", best.Median() / ours.Median(),
                 best.name);
  };
  ratio("speedup_over_one_process", Contender::Kind::kOneProcess);
  ratio("speedup_over_processes", Contender::Kind::kProcesses);
  std::fflush(stdout);
  return json;
}

// Throws where it cannot be written: what was measured is on the screen.
void WriteResults(const nlohmann::json& results, const std::string& name) {
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  const std::filesystem::path folder =
      std::filesystem::path(workspace == nullptr ? "." : workspace) /
      "benchmarks/results";
  std::filesystem::create_directories(folder);
  const std::time_t now = std::time(nullptr);
  char date[16];
  std::strftime(date, sizeof(date), "%Y-%m-%d", std::localtime(&now));
  const std::filesystem::path path =
      folder / absl::StrCat(date, "-", name, ".json");
  std::ofstream file;
  file.exceptions(std::ios::failbit | std::ios::badbit);
  file.open(path);
  file << results.dump(2) << "\n";
  file.close();
  absl::PrintF("written: %s\n", path.string());
}

int Main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "ModelBatch against LibTorch that trains one model after another");
  absl::ParseCommandLine(argc, argv);
  nlohmann::json results = {{"cpu", CpuModel()},
                            {"cpus", NumCpus()},
                            {"load_average_before", LoadAverage()},
                            {"threads", absl::GetFlag(FLAGS_threads)},
                            {"rows", Workload::kRows},
                            {"steps_per_run", Workload::kSteps},
                            {"runs", nlohmann::json::array()}};
  absl::PrintF("%s, %d CPUs, load average %.2f\n", CpuModel(), NumCpus(),
               LoadAverage());
  for (const std::string& text : absl::GetFlag(FLAGS_models)) {
    int models = 0;
    if (!absl::SimpleAtoi(text, &models) || models < 1) {
      std::fprintf(stderr, "--models has \"%s\", expected numbers from 1\n",
                   text.c_str());
      return 2;
    }
    results["runs"].push_back(Compare(models));
  }
  results["load_average_after"] = LoadAverage();
  const std::string name = absl::GetFlag(FLAGS_output);
  if (!name.empty()) WriteResults(results, name);
  return 0;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  return modelbatch::benchmarks::Main(argc, argv);
}
