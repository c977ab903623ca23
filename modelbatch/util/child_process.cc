#include "modelbatch/util/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

extern char** environ;

namespace modelbatch {
namespace {

// The child's descriptor that leads to its parent.
constexpr int kToParent = 3;
// How long an end of the child may stay unnoticed.
constexpr int kPollMilliseconds = 10;
// Of what a child may say; more is not read.
constexpr size_t kMaxOutput = size_t{1} << 20;

absl::Status SystemError(const char* what, int error) {
  return absl::UnavailableError(
      absl::StrCat("cannot start a process: ", what, ": ", strerror(error)));
}

// A child whose parent ignores SIGCHLD leaves no exit status behind; whoever
// started this program may have decided so.
class DefaultChildSignal {
 public:
  DefaultChildSignal() {
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &standard, &before_);
  }
  ~DefaultChildSignal() { sigaction(SIGCHLD, &before_, nullptr); }
  DefaultChildSignal(const DefaultChildSignal&) = delete;
  DefaultChildSignal& operator=(const DefaultChildSignal&) = delete;

 private:
  struct sigaction before_;
};

// posix_spawn's arguments, which need to be destroyed.
struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
};

// What Spawn is to start.
struct Program {
  const char* file = nullptr;
  bool in_path = false;  // look for `file` in PATH
  std::string name;      // argv[0]
  const std::vector<std::string>& arguments;
  const char* folder = nullptr;  // to start it in; null: this process's own
  // The child's end of the pipe, and the child's descriptors that lead there.
  int to_parent = -1;
  std::vector<int> become = {};
};

int AddFiles(const Program& program, posix_spawn_file_actions_t* files) {
  int error = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
                                               O_RDONLY, 0);
  if (error == 0) {
    error =
        posix_spawn_file_actions_adddup2(files, STDERR_FILENO, STDOUT_FILENO);
  }
  for (const int fd : program.become) {
    if (error != 0) break;
    error = posix_spawn_file_actions_adddup2(files, program.to_parent, fd);
  }
  if (error == 0 && program.folder != nullptr) {
    error = posix_spawn_file_actions_addchdir_np(files, program.folder);
  }
  return error;
}

// Returns an errno, 0 for success.
int Spawn(const Program& program, pid_t* pid) {
  SpawnSettings settings;
  int error = AddFiles(program, &settings.files);
  // A group of its own, to be killed as a whole; no signal ignored or blocked.
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  if (error == 0) error = posix_spawnattr_setpgroup(&settings.attributes, 0);
  if (error == 0) {
    error = posix_spawnattr_setsigmask(&settings.attributes, &none);
  }
  if (error == 0) {
    error = posix_spawnattr_setsigdefault(&settings.attributes, &all);
  }
  if (error == 0) {
    error = posix_spawnattr_setflags(
        &settings.attributes,
        POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  if (error != 0) return error;
  std::string name = program.name;
  std::vector<std::string> copies = program.arguments;
  std::vector<char*> argv = {name.data()};
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto spawn = program.in_path ? posix_spawnp : posix_spawn;
  return spawn(pid, program.file, &settings.files, &settings.attributes,
               argv.data(), environ);
}

// Appends what is there; false at the end of the stream.
bool ReadWhatIsThere(int fd, std::string* output) {
  char buffer[4096];
  for (;;) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count > 0) {
      const size_t room = kMaxOutput - std::min(kMaxOutput, output->size());
      output->append(buffer, std::min<size_t>(count, room));
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

bool HasEnded(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

// Reads until the child ends, or for `seconds`; whether it ended. Not until
// the end of the stream, which may be held open by what the child started.
bool Listen(pid_t pid, int from_child, int64_t seconds, std::string* output) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  bool open = true;
  for (;;) {
    const bool ended = HasEnded(pid);
    if (open) open = ReadWhatIsThere(from_child, output);
    if (ended) return true;
    if (Clock::now() >= deadline) return false;
    pollfd descriptor = {from_child, POLLIN, 0};
    poll(&descriptor, open ? 1 : 0, kPollMilliseconds);
  }
}

// Starts it, listens and waits. `program.to_parent` is set here.
absl::StatusOr<ChildOutcome> Run(Program program, int64_t seconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return SystemError("pipe2", errno);
  }
  const DefaultChildSignal child_signal;
  pid_t pid = 0;
  // The child may block when it writes.
  fcntl(ends[1], F_SETFL, 0);
  program.to_parent = ends[1];
  const int error = Spawn(program, &pid);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    if (program.in_path && error == ENOENT) {
      return absl::NotFoundError(
          absl::StrCat("there is no program ", program.name, " in PATH"));
    }
    return SystemError("posix_spawn", error);
  }
  ChildOutcome outcome;
  outcome.timed_out = !Listen(pid, ends[0], seconds, &outcome.output);
  close(ends[0]);
  // Also what the child may have left running.
  kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return SystemError("waitpid", errno);
  }
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

}  // namespace

std::string ChildOutcome::Describe() const {
  if (signal == 0) return absl::StrCat("exit code ", exit_code);
  const char* const name = sigabbrev_np(signal);
  const char* const text = sigdescr_np(signal);
  return absl::StrCat("signal ", signal,
                      name == nullptr || text == nullptr
                          ? ""
                          : absl::StrCat(" (SIG", name, ", ", text, ")"));
}

absl::StatusOr<ChildOutcome> RunSelf(const std::vector<std::string>& arguments,
                                     int64_t seconds) {
  Program program{"/proc/self/exe", false, "modelbatch", arguments};
  program.become = {kToParent};
  return Run(std::move(program), seconds);
}

absl::StatusOr<ChildOutcome> RunProgram(
    const std::string& name, const std::vector<std::string>& arguments,
    const std::string& folder, int64_t seconds) {
  Program program{name.c_str(), true, name, arguments};
  program.folder = folder.c_str();
  program.become = {STDOUT_FILENO, STDERR_FILENO};
  return Run(std::move(program), seconds);
}

absl::Status BecomeChild() {
  if (fcntl(kToParent, F_SETFD, FD_CLOEXEC) != 0) {
    return absl::InvalidArgumentError(
        "this command is for modelbatch itself, which reads its answer");
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return absl::OkStatus();
}

void WriteToParent(const std::string& text) {
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t count =
        write(kToParent, text.data() + written, text.size() - written);
    if (count > 0) {
      written += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return;  // The parent sees that the answer is not whole.
    }
  }
}

}  // namespace modelbatch
