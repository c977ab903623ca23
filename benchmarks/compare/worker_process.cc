#include "benchmarks/compare/worker_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmarks/process_memory.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// Long enough for every worker to have read its line, so that they start
// together.
constexpr double kStartDelay = 500e-6;

double Seconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * time.tv_nsec;
}

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Seconds(now);
}

absl::Status SystemError(const char* call) {
  return absl::InternalError(absl::StrCat(call, ": ", std::strerror(errno)));
}

// Without its end; false when there is none.
bool ReadLine(FILE* file, std::string* line) {
  line->clear();
  for (int c; (c = std::getc(file)) != EOF;) {
    if (c == '\n') return true;
    line->push_back(static_cast<char>(c));
  }
  return false;
}

void WriteLine(FILE* file, const std::string& line) {
  std::fprintf(file, "%s\n", line.c_str());
  std::fflush(file);
}

// What a forked worker does: the protocol of the header.
void Serve(const WorkerGroup::Part& part, FILE* from, FILE* to) {
  std::unique_ptr<Trainer> trainer;
  ReturnFreedMemory();
  WriteLine(to, "hello");
  for (std::string line; ReadLine(from, &line);) {
    int steps = 0;
    double at = 0;
    if (line == "make") {
      auto made = part.make_trainer();
      if (!made.ok()) {
        WriteLine(to, absl::StrCat("unsupported ", made.status().message()));
        return;
      }
      trainer = *std::move(made);
      trainer->Reset();
      trainer->Run(1);
      WriteLine(to, "ready {}");
    } else if (line == "reset") {
      trainer->Reset();
      WriteLine(to, "ok");
    } else if (std::sscanf(line.c_str(), "run %d %lf", &steps, &at) == 2) {
      while (Now() < at) {
      }
      const double start = Now();
      trainer->Run(steps);
      WriteLine(to, absl::StrFormat("ran %.9f %.9f", start, Now()));
    } else if (line.rfind("weights ", 0) == 0) {
      std::vector<float> weights(part.num_weights);
      trainer->CopyWeights(weights.data());
      std::ofstream file(line.substr(8), std::ios::binary);
      file.write(reinterpret_cast<const char*>(weights.data()),
                 static_cast<std::streamsize>(weights.size() * sizeof(float)));
      file.close();
      WriteLine(to, file ? "ok" : "cannot write");
    } else {
      return;  // quit
    }
  }
}

// Becomes the command; does not return.
void Execute(const std::vector<std::string>& command, const std::string& log,
             int in, int out) {
  const int error =
      open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (error < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(error, 2) < 0) {
    std::_Exit(1);
  }
  std::vector<char*> argv;
  for (const std::string& argument : command) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::perror(argv[0]);
  std::_Exit(127);
}

std::string EndOf(const std::string& path) {
  constexpr size_t kMost = 2000;
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  return text.size() <= kMost ? text : text.substr(text.size() - kMost);
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerGroup>> WorkerGroup::Start(
    std::vector<Part> parts, const std::string& scratch) {
  std::signal(SIGPIPE, SIG_IGN);  // a worker that has ended is told by its end
  std::unique_ptr<WorkerGroup> group(new WorkerGroup(scratch));
  for (const Part& part : parts) MB_RETURN_IF_ERROR(group->StartWorker(part));
  for (Worker& worker : group->workers_) {
    MB_RETURN_IF_ERROR(group->Receive(worker, "hello").status());
    ResetPeak(worker.pid);
    worker.resident_before = ResidentBytes(worker.pid);
  }
  const double start = Now();
  MB_RETURN_IF_ERROR(group->SendAll("make"));
  for (const Worker& worker : group->workers_) {
    MB_ASSIGN_OR_RETURN(const std::string versions,
                        group->Receive(worker, "ready"));
    group->versions_ = nlohmann::json::parse(versions, nullptr, false);
    if (!group->versions_.is_object()) {
      return group->Failed(worker,
                           "answered \"ready\" with what is no JSON object");
    }
  }
  group->seconds_to_ready_ = Now() - start;
  return group;
}

absl::Status WorkerGroup::StartWorker(const Part& part) {
  int down[2], up[2];
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
    return SystemError("pipe");
  }
  Worker worker;
  worker.num_weights = part.num_weights;
  if (!part.command.empty()) {
    worker.log = absl::StrCat(scratch_, "/worker-", down[1], ".log");
  }
  const pid_t parent = getpid();
  std::fflush(nullptr);
  worker.pid = fork();
  if (worker.pid < 0) return SystemError("fork");
  if (worker.pid == 0) {
    // No worker outlives a parent that was killed.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) std::_Exit(1);
    std::signal(SIGPIPE, SIG_DFL);
    if (!part.command.empty()) {
      Execute(part.command, worker.log, down[0], up[1]);
    }
    Serve(part, fdopen(down[0], "r"), fdopen(up[1], "w"));
    std::_Exit(0);
  }
  close(down[0]);
  close(up[1]);
  worker.to = fdopen(down[1], "w");
  worker.from = fdopen(up[0], "r");
  workers_.push_back(std::move(worker));
  return absl::OkStatus();
}

WorkerGroup::~WorkerGroup() {
  for (const Worker& worker : workers_) {
    // The pipe's end would not do: workers forked later hold copies of it.
    WriteLine(worker.to, "quit");
    std::fclose(worker.to);
    std::fclose(worker.from);
    waitpid(worker.pid, nullptr, 0);
  }
}

absl::Status WorkerGroup::Failed(const Worker& worker,
                                 const std::string& what) const {
  return absl::InternalError(
      absl::StrCat("worker process ", worker.pid, " ", what,
                   worker.log.empty() ? "" : "\n" + EndOf(worker.log)));
}

absl::Status WorkerGroup::Send(const Worker& worker,
                               const std::string& line) const {
  WriteLine(worker.to, line);
  if (std::ferror(worker.to)) return Failed(worker, "is gone");
  return absl::OkStatus();
}

absl::Status WorkerGroup::SendAll(const std::string& line) const {
  for (const Worker& worker : workers_) {
    MB_RETURN_IF_ERROR(Send(worker, line));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> WorkerGroup::Receive(
    const Worker& worker, const std::string& word) const {
  std::string line;
  if (!ReadLine(worker.from, &line)) return Failed(worker, "has failed");
  const size_t space = std::min(line.find(' '), line.size());
  const std::string rest = line.substr(std::min(space + 1, line.size()));
  if (line.substr(0, space) == word) return rest;
  if (line.rfind("unsupported ", 0) == 0) return absl::UnimplementedError(rest);
  return Failed(
      worker, absl::StrCat("answered \"", line, "\", expected \"", word, "\""));
}

double WorkerGroup::CpuSeconds() const {
  double seconds = 0;
  for (const Worker& worker : workers_) {
    clockid_t clock;
    timespec time;
    if (clock_getcpuclockid(worker.pid, &clock) == 0 &&
        clock_gettime(clock, &time) == 0) {
      seconds += Seconds(time);
    }
  }
  return seconds;
}

absl::StatusOr<Sample> WorkerGroup::Run(int steps, int repeats) {
  Sample sample;
  const double cpu = CpuSeconds();
  for (int repeat = 0; repeat < repeats; ++repeat) {
    MB_RETURN_IF_ERROR(SendAll("reset"));
    for (const Worker& worker : workers_) {
      MB_RETURN_IF_ERROR(Receive(worker, "ok").status());
    }
    MB_RETURN_IF_ERROR(
        SendAll(absl::StrFormat("run %d %.9f", steps, Now() + kStartDelay)));
    double first = std::numeric_limits<double>::infinity(), last = 0;
    for (const Worker& worker : workers_) {
      MB_ASSIGN_OR_RETURN(const std::string times, Receive(worker, "ran"));
      double start = 0, end = 0;
      if (std::sscanf(times.c_str(), "%lf %lf", &start, &end) != 2) {
        return Failed(worker, absl::StrCat("answered \"ran ", times, "\""));
      }
      first = std::min(first, start);
      last = std::max(last, end);
    }
    sample.seconds += last - first;
  }
  sample.cpu_seconds = CpuSeconds() - cpu;
  return sample;
}

absl::StatusOr<std::vector<float>> WorkerGroup::Weights() {
  const std::string path = absl::StrCat(scratch_, "/weights");
  std::vector<float> weights;
  for (const Worker& worker : workers_) {
    MB_RETURN_IF_ERROR(Send(worker, absl::StrCat("weights ", path)));
    MB_RETURN_IF_ERROR(Receive(worker, "ok").status());
    std::ifstream file(path, std::ios::binary);
    std::vector<float> part(worker.num_weights + 1);
    file.read(reinterpret_cast<char*>(part.data()),
              static_cast<std::streamsize>(part.size() * sizeof(float)));
    const int64_t count = file.gcount() / static_cast<int64_t>(sizeof(float));
    if (count != worker.num_weights) {
      return Failed(worker, absl::StrCat("has weights of another number than ",
                                         worker.num_weights));
    }
    weights.insert(weights.end(), part.begin(), part.end() - 1);
  }
  return weights;
}

Memory WorkerGroup::memory() const {
  Memory memory;
  for (const Worker& worker : workers_) {
    memory.before += worker.resident_before;
    memory.peak += PeakResidentBytes(worker.pid);
  }
  return memory;
}

}  // namespace modelbatch::benchmarks
