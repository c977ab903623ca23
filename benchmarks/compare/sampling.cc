#include "benchmarks/compare/sampling.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "benchmarks/compare/system_load.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// Until nobody works: contenders wait, but their threads may still spin.
void WaitForQuiet(const SamplingOptions& options) {
  constexpr double kWindow = 0.3;
  for (double waited = 0; waited < options.patience; waited += kWindow) {
    const double busy = BusySeconds();
    std::this_thread::sleep_for(std::chrono::duration<double>(kWindow));
    const double allowed = options.disturbance * kWindow * NumCpus();
    if (BusySeconds() - busy <= allowed + 0.01) return;
  }
}

}  // namespace

double Samples::Median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

double Samples::Min() const {
  return *std::min_element(seconds.begin(), seconds.end());
}

double Samples::Max() const {
  return *std::max_element(seconds.begin(), seconds.end());
}

BusyNeighbour::BusyNeighbour() {
  std::fflush(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile unsigned i = 0;; i = i + 1) {
    }
  }
}

BusyNeighbour::~BusyNeighbour() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

double BusyNeighbour::CpuSeconds() const {
  clockid_t clock;
  timespec time;
  if (clock_getcpuclockid(pid_, &clock) != 0 ||
      clock_gettime(clock, &time) != 0) {
    return 0;
  }
  return static_cast<double>(time.tv_sec) + 1e-9 * time.tv_nsec;
}

absl::Status Timed::Calibrate(const SamplingOptions& options, bool free_steps) {
  constexpr double kLeastRun = 0.01;
  double seconds = 0;
  for (;; steps_ *= 2) {
    MB_ASSIGN_OR_RETURN(const auto sample, group_->Run(steps_, 1));
    seconds = sample.seconds;
    if (!free_steps || seconds >= std::min(kLeastRun, options.sample_seconds)) {
      break;
    }
  }
  repeats_ = std::max(
      1, static_cast<int>(std::ceil(options.sample_seconds / seconds)));
  return absl::OkStatus();
}

absl::Status Timed::Sample(const SamplingOptions& options,
                           const BusyNeighbour* neighbour,
                           Samples* samples) const {
  for (int attempt = 0;; ++attempt) {
    if (neighbour == nullptr) WaitForQuiet(options);
    const auto neighbours = [neighbour] {
      return neighbour == nullptr ? 0 : neighbour->CpuSeconds();
    };
    const double busy = BusySeconds() - neighbours();
    const auto start = std::chrono::steady_clock::now();
    MB_ASSIGN_OR_RETURN(const auto sample, group_->Run(steps_, repeats_));
    const std::chrono::duration<double> elapsed =
        std::chrono::steady_clock::now() - start;
    const double others = std::max(0.0, BusySeconds() - neighbours() - busy -
                                            sample.cpu_seconds) /
                          (elapsed.count() * NumCpus());
    const bool disturbed = others > options.disturbance;
    if (disturbed && attempt < options.retries) {
      ++samples->discarded;
      continue;
    }
    samples->disturbed += disturbed;
    samples->seconds.push_back(sample.seconds / steps_ / repeats_);
    samples->others.push_back(others);
    return absl::OkStatus();
  }
}

}  // namespace modelbatch::benchmarks
