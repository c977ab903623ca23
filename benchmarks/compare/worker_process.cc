#include "benchmarks/worker_process.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include "benchmarks/process_memory.h"

namespace modelbatch::benchmarks {
namespace {

enum Command : int { kRun, kCopyWeights, kMemory, kQuit };

struct Request {
  int command, steps, repeats;
};

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * now.tv_nsec;
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * t.tv_usec;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

template <typename T>
bool ReadAll(int fd, T* value) {
  return read(fd, value, sizeof(T)) == static_cast<ssize_t>(sizeof(T));
}

template <typename T>
bool WriteAll(int fd, const T& value) {
  return write(fd, &value, sizeof(T)) == static_cast<ssize_t>(sizeof(T));
}

void* MapShared(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  return memory;
}

}  // namespace

struct WorkerGroup::Shared {
  pthread_barrier_t barrier;
};

struct WorkerGroup::Answer {
  double seconds = 0, cpu_seconds = 0;
  Memory memory;
};

WorkerGroup::WorkerGroup(std::vector<Part> parts) : parts_(std::move(parts)) {
  for (const Part& part : parts_) num_weights_ += part.num_weights;
  shared_ = new (MapShared(sizeof(Shared))) Shared;
  weights_ = static_cast<float*>(MapShared(num_weights_ * sizeof(float)));
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&shared_->barrier, &attributes, parts_.size());
  pthread_barrierattr_destroy(&attributes);

  const pid_t parent = getpid();
  float* weights = weights_;
  for (const Part& part : parts_) {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) Fail("pipe");
    const pid_t pid = fork();
    if (pid < 0) Fail("fork");
    if (pid == 0) {
      // No worker outlives a parent that was killed.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) std::_Exit(1);
      close(down[1]);
      close(up[0]);
      Serve(part, weights, down[0], up[1]);
      std::_Exit(0);
    }
    weights += part.num_weights;
    close(down[0]);
    close(up[1]);
    workers_.push_back({pid, down[1], up[0]});
  }
}

WorkerGroup::~WorkerGroup() {
  for (const Worker& worker : workers_) {
    // The pipe's end would not do: workers forked later hold copies of it.
    WriteAll(worker.to_worker, Request{kQuit, 0, 0});
    close(worker.to_worker);
    close(worker.from_worker);
    waitpid(worker.pid, nullptr, 0);
  }
  munmap(weights_, num_weights_ * sizeof(float));
  munmap(shared_, sizeof(Shared));
}

void WorkerGroup::Serve(const Part& part, float* weights, int from_parent,
                        int to_parent) {
  Answer answer;
  ResetPeak();
  answer.memory.before = ResidentBytes();
  const std::unique_ptr<Trainer> trainer = part.make_trainer();
  trainer->Reset();
  trainer->Run(1);
  for (Request request; ReadAll(from_parent, &request);) {
    switch (request.command) {
      case kRun: {
        const double cpu = CpuSeconds();
        answer.seconds = 0;
        for (int repeat = 0; repeat < request.repeats; ++repeat) {
          trainer->Reset();
          pthread_barrier_wait(&shared_->barrier);
          const double start = Now();
          trainer->Run(request.steps);
          pthread_barrier_wait(&shared_->barrier);
          answer.seconds += Now() - start;
        }
        answer.cpu_seconds = CpuSeconds() - cpu;
        break;
      }
      case kCopyWeights:
        trainer->CopyWeights(weights);
        break;
      case kMemory:
        answer.memory.peak = PeakResidentBytes();
        break;
      case kQuit:
        return;
    }
    if (!WriteAll(to_parent, answer)) return;
  }
}

std::vector<WorkerGroup::Answer> WorkerGroup::Ask(int command, int steps,
                                                  int repeats) {
  for (const Worker& worker : workers_) {
    if (!WriteAll(worker.to_worker, Request{command, steps, repeats})) {
      Fail("a worker process is gone");
    }
  }
  std::vector<Answer> answers;
  for (const Worker& worker : workers_) {
    Answer answer;
    if (!ReadAll(worker.from_worker, &answer)) {
      std::fprintf(stderr, "a worker process has failed\n");
      std::exit(1);
    }
    answers.push_back(answer);
  }
  return answers;
}

Sample WorkerGroup::Run(int steps, int repeats) {
  Sample sample;
  for (const Answer& answer : Ask(kRun, steps, repeats)) {
    sample.seconds = std::max(sample.seconds, answer.seconds);
    sample.cpu_seconds += answer.cpu_seconds;
  }
  return sample;
}

std::vector<float> WorkerGroup::Weights() {
  Ask(kCopyWeights, 0, 0);
  return std::vector<float>(weights_, weights_ + num_weights_);
}

Memory WorkerGroup::memory() {
  Memory memory;
  for (const Answer& answer : Ask(kMemory, 0, 0)) {
    memory.before += answer.memory.before;
    memory.peak += answer.memory.peak;
  }
  return memory;
}

}  // namespace modelbatch::benchmarks
