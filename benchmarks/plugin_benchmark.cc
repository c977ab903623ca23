#include "benchmarks/plugin_benchmark.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "benchmarks/modelbatch_trainer.h"

namespace modelbatch::benchmarks {
namespace {

// Takes --name=value out of the arguments, for those that Google Benchmark does
// not know.
bool TakeFlag(const char* name, int* argc, char** argv, std::string* value) {
  const std::string prefix = absl::StrCat("--", name, "=");
  for (int i = 1; i < *argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) != 0) continue;
    *value = argv[i] + prefix.size();
    for (int j = i; j + 1 < *argc; ++j) argv[j] = argv[j + 1];
    --*argc;
    return true;
  }
  return false;
}

int Number(const char* flag, absl::string_view text, int least) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= least) return number;
  std::fprintf(stderr, "--%s has \"%s\", expected numbers from %d\n", flag,
               std::string(text).c_str(), least);
  std::exit(2);
}

void Run(benchmark::State& state, const PluginBenchmark& one, const Case& c) {
  const auto backend = MakeBackend(c.backend, c.threads);
  if (Skipped(state, CheckCanTrain(backend->capabilities(), c.workload(),
                                   {c.precision, false}))) {
    return;
  }
  one.run(state, c);
}

}  // namespace

const Workload& Case::workload() const {
  static std::unique_ptr<Workload> last;
  if (last == nullptr || last->name != entry->name ||
      last->models() != models) {
    last.reset();
    last = std::make_unique<Workload>(MakeWorkload(*entry, models));
  }
  return *last;
}

int RunBenchmarks(int argc, char** argv,
                  const std::vector<PluginBenchmark>& benchmarks) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") != 0) continue;
    std::printf(
        "Flags besides those below: --backend=cpu (a name, or the path of a "
        "plugin), --threads=0 (0: the backend's choice), --models=1,32 "
        "(numbers of models; those of the workloads if not given), "
        "--precision=fp32 (of products), --large=0 (1: the workloads for a GPU "
        "as well).\n\n");
  }
  Case base;
  base.backend = "cpu";
  std::vector<int> populations;
  std::string value;
  TakeFlag("backend", &argc, argv, &base.backend);
  if (TakeFlag("threads", &argc, argv, &value)) {
    base.threads = Number("threads", value, 0);
  }
  TakeFlag("precision", &argc, argv, &base.precision);
  const bool large =
      TakeFlag("large", &argc, argv, &value) && Number("large", value, 0) != 0;
  if (TakeFlag("models", &argc, argv, &value)) {
    for (const absl::string_view text : absl::StrSplit(value, ',')) {
      populations.push_back(Number("models", text, 1));
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const PluginBenchmark& one : benchmarks) {
    for (const WorkloadEntry& entry : WorkloadTable()) {
      if (entry.large && !large) continue;
      for (const int models :
           populations.empty() ? entry.populations : populations) {
        Case c = base;
        c.entry = &entry;
        c.models = models;
        benchmark::RegisterBenchmark(
            absl::StrCat(one.name, "/", entry.name, "/models:", models).c_str(),
            Run, one, c)
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::AddCustomContext("backend", base.backend);
  benchmark::AddCustomContext("precision", base.precision);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

void CountSteps(benchmark::State& state, const Workload& workload,
                double flops) {
  using benchmark::Counter;
  const double steps = static_cast<double>(state.iterations());
  state.counters["models_per_second"] =
      Counter(steps * workload.models(), Counter::kIsRate);
  state.counters["rows_per_second"] = Counter(
      steps * static_cast<double>(workload.RowsPerStep()), Counter::kIsRate);
  state.counters["GFLOP/s"] = Counter(1e-9 * steps * flops, Counter::kIsRate);
}

}  // namespace modelbatch::benchmarks
