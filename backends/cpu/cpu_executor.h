// The grouped executor on CPU threads: models in parallel, a model's whole step
// on one thread. Where there are fewer models than threads, several share one.
#ifndef BACKENDS_CPU_CPU_EXECUTOR_H_
#define BACKENDS_CPU_CPU_EXECUTOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cpu/float_buffer.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/model_step.h"
#include "backends/cpu/model_update.h"
#include "backends/cpu/prefetch_queue.h"
#include "backends/cpu/team.h"
#include "backends/cpu/tuning_table.h"
#include "backends/cpu/work_lists.h"
#include "backends/grouped/executor.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/tune_report.h"
#include "modelbatch/util/barrier.h"
#include "modelbatch/util/thread_pool.h"

namespace modelbatch::cpu {

class CpuExecutor : public grouped::Executor {
 public:
  struct Options {
    const Kernels* kernels = nullptr;
    // Threads that may share one model where there are fewer models than
    // threads; 0: as many as there are, where a step is long enough.
    int threads_per_model = 0;
    // Sums products in an order that depends on the number of models. For the
    // test that `verify` notices; no config reaches it.
    bool break_contract = false;
    TuningTable* tuning_table = nullptr;  // null: the process's
    // Parameters from which on a model's gradients are made and used in pieces.
    int64_t pieces_from = 32768;
    // Bytes of its models that a thread's second-level cache keeps from step to
    // step: where there are more, products fetch what comes next.
    int64_t cached_bytes = 512 * 1024;
  };

  static absl::StatusOr<std::unique_ptr<CpuExecutor>> Create(
      std::shared_ptr<const grouped::Plan> plan,
      std::shared_ptr<ThreadPool> pool, const Options& options);

  absl::Status Allocate(grouped::Arena arena) override;
  void Release(grouped::Arena arena) override;
  bool IsAllocated(grouped::Arena arena) const override;
  absl::Status Read(grouped::Arena arena, int64_t offset, int64_t size,
                    float* out) override;
  absl::Status Write(grouped::Arena arena, int64_t offset, int64_t size,
                     const float* values) override;
  absl::Span<int64_t> steps() override { return absl::MakeSpan(steps_); }
  absl::Status CheckRule(const grouped::UpdateRule&) const override {
    return absl::OkStatus();
  }
  absl::Status TrainStep(const grouped::TrainArgs& args) override;
  absl::Status Evaluate(const grouped::EvaluateArgs& args) override;
  absl::Status Forward(const grouped::ForwardArgs& args) override;
  absl::Status Backward(const grouped::BackwardArgs& args) override;
  absl::Status Update(const grouped::UpdateArgs& args) override;
  absl::StatusOr<TuneReport> Tune(const TuneOptions& options) override;
  std::string tuning() const override;
  int64_t workspace_bytes() const override;

 private:
  // What one thread, or team, needs besides the models' state.
  struct Worker {
    FloatBuffer workspace;
    FloatBuffer scratch;    // ModelStep's
    FloatBuffer gradients;  // of one model
    FloatBuffer targets;    // [max_rows, target size]
    FloatBuffer row_losses;
    std::vector<int64_t> classes;    // -1: the row is ignored
    std::vector<float> row_weights;  // of the losses on classes
    std::vector<int64_t> predictions;
    // What the leader has found, for its team.
    double weight = 0;
    float loss = 0;
    std::atomic<bool> finite{true};  // and the other members

    // The rows of the dataset that lie in the input's buffer, and since which
    // call.
    absl::Span<const int32_t> input_rows;
    int64_t input_call = -1;

    PrefetchQueue prefetch;
    int next_model = -1;  // what it is likely to work on next; -1: unknown
  };

  CpuExecutor() = default;

  // Threads that a model is going to have.
  static int TeamSize(const grouped::Plan& plan, int threads, int wanted);
  // Runs body(model, member, worker) for every model on a thread of its own, or
  // on each thread of a team. `rows`: what models cost.
  template <typename Body>
  void ForEachModel(const RowSet* rows, Body body);

  // The same on one of the threads.
  template <typename Body>
  void WorkThroughLists(int thread, Body body);

  ModelStep MakeStep(int model, const TeamMember& member, Worker& worker,
                     bool training);
  // Copies rows of the dataset into the model's input buffer, or takes the
  // shared copy.
  void GatherInput(const grouped::HostDataset& dataset,
                   absl::Span<const int32_t> rows, Worker& worker,
                   ModelStep* step) const;
  // Returns what the rows weigh together; 0: none counts.
  double GatherTargets(const grouped::HostDataset& dataset,
                       absl::Span<const int32_t> rows, Worker& worker) const;
  // `weight` is that of the gathered rows.
  float Loss(const ModelStep& step, const grouped::HostDataset& dataset,
             const Worker& worker, double weight, Matrix gradient,
             float* row_losses) const;
  float ClassLoss(const ModelStep& step, const Worker& worker, double weight,
                  Matrix gradient, float* row_losses) const;
  // Each of these is called by all members of a team, and returns the same to
  // all. `loss` is the leader's to write.
  Outcome TrainModel(int model, const TeamMember& member,
                     const grouped::TrainArgs& args, Worker& worker,
                     float* loss);
  Outcome BackwardModel(int model, const TeamMember& member,
                        const grouped::BackwardArgs& args, Worker& worker);
  // Updates the parameters with each piece of the gradients. The gradients are
  // known to be finite.
  void UpdateInPieces(int model, const TeamMember& member,
                      const grouped::UpdateRule& rule, const float* grads,
                      const ModelStep& step);
  // Changes the gradients as the rule says, then the parameters, unless a
  // gradient is not finite.
  Outcome UpdateModel(int model, const TeamMember& member,
                      const grouped::UpdateRule& rule, float* grads,
                      Worker& worker);
  // Whether all members found finite gradients since `worker.finite` was set.
  bool AllFinite(int model, const TeamMember& member, const float* grads,
                 Worker& worker) const;
  // Whether no member found otherwise since `worker.finite` was set.
  static bool AllAgree(bool finite, const TeamMember& member, Worker& worker);
  // A part of a model's parameters, and what belongs to them.
  ModelBlocks Blocks(const grouped::ModelPlan& plan, const Range& part,
                     const float* grads);
  // Counts an update that all members have made, of nadam with its number.
  void CountUpdate(int model, const TeamMember& member,
                   const grouped::UpdateRule& rule, float mu_product);
  void ForwardModel(int model, const TeamMember& member,
                    const grouped::ForwardArgs& args, Worker& worker);
  // A model's block of an arena; null: not allocated.
  float* Block(grouped::Arena arena, const grouped::ModelPlan& model) {
    FloatBuffer& buffer = arenas_[static_cast<int>(arena)];
    return buffer.allocated() ? buffer.data() + model.state_offset : nullptr;
  }
  float* KeptGradients(int model) {
    return Block(grouped::Arena::kGradient, plan_->models[model]);
  }
  void EvaluateModel(int model, const TeamMember& member,
                     const grouped::EvaluateArgs& args, Worker& worker);

  std::shared_ptr<const grouped::Plan> plan_;
  std::shared_ptr<ThreadPool> pool_;
  const Kernels* kernels_ = nullptr;
  bool break_contract_ = false;
  TuningTable* tuning_table_ = nullptr;
  // By model and operation; empty: defaults.
  std::vector<std::vector<LinearTilings>> tilings_;
  std::vector<TuneChoice> choices_;  // what tilings_ are
  FloatBuffer loss_weights_;         // of the classes or outputs, padded
  FloatBuffer arenas_[grouped::kNumArenas];
  std::vector<int64_t> steps_;
  std::vector<Worker> workers_;
  WorkLists lists_;
  std::vector<int64_t> costs_;  // of the models, in this call
  int64_t call_ = 0;            // counts them
  int64_t pieces_from_ = 0;
  bool prefetches_ = false;
  int team_size_ = 1;                               // threads a model
  std::vector<std::unique_ptr<Barrier>> barriers_;  // of each team
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_CPU_EXECUTOR_H_
