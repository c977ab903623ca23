#include "benchmarks/compare/peers.h"

#include <filesystem>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "benchmarks/compare/libtorch_trainer.h"
#include "benchmarks/modelbatch_trainer.h"
#include "modelbatch/util/status_macros.h"
#include "tools/cpp/runfiles/runfiles.h"

namespace modelbatch::benchmarks {
namespace {

using bazel::tools::cpp::runfiles::Runfiles;

Peer ModelBatchPeer(const std::string& backend, const PeerOptions& options) {
  Peer peer;
  peer.name = absl::StrCat("modelbatch-", backend);
  peer.what =
      absl::StrCat("the plugin ", backend, options.compile ? ", compiled" : "");
  peer.arrangements = {{options.threads, 1, ""}};
  const TrainerOptions trainer = {options.precision, options.compile};
  peer.part = [backend, trainer](const Workload& workload, const std::string&,
                                 const Arrangement& arrangement, int, int first,
                                 int last) {
    WorkerGroup::Part part;
    part.num_weights = workload.Parameters(first, last);
    part.make_trainer = [&workload, backend, trainer,
                         threads = arrangement.threads]()
        -> absl::StatusOr<std::unique_ptr<Trainer>> {
      MB_RETURN_IF_ERROR(CheckCanTrain(
          MakeBackend(backend, threads)->capabilities(), workload, trainer));
      return std::make_unique<ModelBatchTrainer>(workload, backend, threads,
                                                 trainer);
    };
    return part;
  };
  return peer;
}

// One that cannot take part, and why: its launcher is not among the program's
// files (compare_without_jax), or it lacks the precision.
Peer AbsentPeer(std::string name, std::string what, const std::string& why) {
  Peer peer;
  peer.name = std::move(name);
  peer.what = std::move(what);
  peer.arrangements = {{1, 1, ""}};
  peer.part = [why](const Workload&, const std::string&, const Arrangement&,
                    int, int, int) {
    WorkerGroup::Part part;
    part.make_trainer = [why]() -> absl::StatusOr<std::unique_ptr<Trainer>> {
      return absl::UnimplementedError(why);
    };
    return part;
  };
  return peer;
}

Peer LibTorchPeer(std::string name, std::string what, bool fused,
                  const PeerOptions& peers) {
  if (peers.precision != "fp32") {
    return AbsentPeer(std::move(name), std::move(what),
                      "it trains in fp32 alone");
  }
  Peer peer;
  peer.name = std::move(name);
  peer.what = std::move(what);
  peer.arrangements = {{1, 1, ""}};
  if (peers.cpus > 1) {
    peer.arrangements.push_back({peers.cpus, 1, ""});
    peer.arrangements.push_back({1, peers.cpus, ""});
  }
  peer.part = [fused](const Workload& workload, const std::string&,
                      const Arrangement& arrangement, int, int first,
                      int last) {
    WorkerGroup::Part part;
    part.num_weights = workload.Parameters(first, last);
    const LibTorchOptions options = {arrangement.threads, fused};
    part.make_trainer = [&workload, first, last, options] {
      return MakeLibTorchTrainer(workload, first, last, options);
    };
    return part;
  };
  return peer;
}

// A program that is given the arguments of peers/worker.py.
Peer CommandPeer(std::string name, std::string what,
                 std::vector<std::string> command, const PeerOptions& options) {
  Peer peer;
  peer.name = std::move(name);
  peer.what = std::move(what);
  peer.stacks = true;
  const int cpus = options.cpus;
  const std::string& device = options.device;
  // Not to be said to programs that know of no other.
  const std::string precision =
      options.precision == "fp32" ? "" : options.precision;
  peer.arrangements = {{cpus, 1, ""}};
  // Processes that share a device take turns on it.
  if (cpus > 1 && device == "cpu") peer.arrangements.push_back({1, cpus, ""});
  peer.part = [command, device, precision](const Workload& workload,
                                           const std::string& folder,
                                           const Arrangement& arrangement,
                                           int process, int first, int last) {
    WorkerGroup::Part part;
    part.num_weights = workload.Parameters(first, last);
    part.command = command;
    for (const auto& [flag, value] :
         std::vector<std::pair<std::string, std::string>>{
             {"workload", folder},
             {"first", absl::StrCat(first)},
             {"last", absl::StrCat(last)},
             {"threads", absl::StrCat(arrangement.threads)},
             {"process", absl::StrCat(process)},
             {"device", device},
             {"precision", precision},
             {"stacks", arrangement.stacks}}) {
      if (value.empty()) continue;
      part.command.push_back(absl::StrCat("--", flag));
      part.command.push_back(value);
    }
    return part;
  };
  return peer;
}

}  // namespace

std::string Arrangement::Name() const {
  const std::string many = processes > 1 ? absl::StrCat(processes, " processes")
                           : threads == 0 ? "its own threads"
                           : threads == 1 ? "1 thread"
                                          : absl::StrCat(threads, " threads");
  return stacks.empty() ? many : absl::StrCat(many, ", ", stacks);
}

absl::StatusOr<std::vector<Peer>> AllPeers(const PeerOptions& options) {
  std::string error;
  const std::unique_ptr<Runfiles> runfiles(
      Runfiles::Create(options.program, &error));
  if (runfiles == nullptr) return absl::NotFoundError(error);
  std::vector<Peer> peers;
  for (const std::string& backend : options.backends) {
    peers.push_back(ModelBatchPeer(backend, options));
  }
  const bool on_cpu = options.device == "cpu";
  if (on_cpu) {
    peers.push_back(LibTorchPeer(
        "libtorch", "LibTorch, one model after another, torch::optim::Adam",
        false, options));
    peers.push_back(LibTorchPeer(
        "libtorch-fused", "the same with at::_fused_adam_", true, options));
  }
  const auto python =
      [&](std::string name, std::string what, const std::string& launcher,
          const std::string& script, std::vector<std::string> flags = {}) {
        if (!std::filesystem::exists(runfiles->Rlocation(launcher))) {
          peers.push_back(AbsentPeer(
              std::move(name), std::move(what),
              absl::StrCat("this program comes without ", launcher)));
          return;
        }
        std::vector<std::string> command = {
            runfiles->Rlocation(launcher),
            runfiles->Rlocation(
                absl::StrCat("modelbatch/benchmarks/compare/peers/", script))};
        command.insert(command.end(), flags.begin(), flags.end());
        peers.push_back(CommandPeer(std::move(name), std::move(what),
                                    std::move(command), options));
      };
  if (!on_cpu) {
    python("torch-loop",
           "one model after another, torch.optim.Adam(fused=True)",
           "pytorch/run.sh", "torch_loop.py");
    python("torch-graph", "the same, a step of all models as one CUDA graph",
           "pytorch/run.sh", "torch_loop.py", {"--graph"});
  }
  python("torch-vmap", "torch.func.vmap of grad, in Python", "pytorch/run.sh",
         "torch_vmap.py");
  python("torch-compile", "the same by torch.compile", "pytorch/run.sh",
         "torch_vmap.py", {"--compile"});
  if (!on_cpu) {
    python("torch-compile-graph", "the same, a step as one CUDA graph",
           "pytorch/run.sh", "torch_vmap.py", {"--compile", "--graph"});
  }
  python("torch-baddbmm", "stacked by hand, torch.baddbmm", "pytorch/run.sh",
         "torch_baddbmm.py");
  python("jax", "jax.jit of vmap and grad, a call a step", "jax/run.sh",
         "jax_vmap.py");
  python("jax-scan", "the same, all steps in one jax.lax.scan", "jax/run.sh",
         "jax_vmap.py", {"--scan"});
  for (const std::string& command : options.commands) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(command, absl::MaxSplits('=', 1));
    std::vector<std::string> words =
        absl::StrSplit(parts.second, ' ', absl::SkipEmpty());
    if (parts.first.empty() || words.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--peer_command has \"", command, "\", expected NAME=COMMAND"));
    }
    peers.push_back(CommandPeer(parts.first, "a program of the caller's",
                                std::move(words), options));
  }
  return peers;
}

}  // namespace modelbatch::benchmarks
