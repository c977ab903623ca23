#include "modelbatch/plugin/plugin_session.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/plugin/abi_call.h"
#include "modelbatch/plugin/abi_reports.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/plugin/named_values.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kStepSlot[] = "step";
// An outcome that no plugin may return: shows what it left out.
constexpr uint8_t kNoOutcome = 0xff;
constexpr int kLastOutcome = static_cast<int>(Outcome::kNonFiniteGradient);
// Outputs begin on cache lines.
constexpr int64_t kAlignFloats = 16;

MB_Rows ToAbi(const RowSet& rows) {
  MB_Rows result = {};
  result.rows = rows.rows.data();
  result.num_rows = rows.rows.size();
  result.offsets = rows.offsets.empty() ? nullptr : rows.offsets.data();
  return result;
}

class PluginSession : public Session {
 public:
  PluginSession(std::shared_ptr<PluginHandle> handle, MB_Session* session,
                const std::vector<ModelInstance>& models)
      : handle_(std::move(handle)), api_(*handle_->api), session_(session) {
    for (const ModelInstance& model : models) {
      ids_.push_back(model.id);
      layouts_.push_back(InferLayout(model.spec));
    }
  }
  ~PluginSession() override { api_.session_destroy(session_); }

  absl::Status SetOptimizer(const std::string& optimizer) override {
    MB_OptimizerArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_OptimizerArgs, optimizer));
    args.session = session_;
    args.optimizer = optimizer.c_str();
    described_model_ = -1;
    return CallPlugin(api_, api_.session_set_optimizer, "session_set_optimizer",
                      &args);
  }

  absl::Status TrainStep(const StepRequest& request,
                         StepResult* result) override {
    MB_TrainStepArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_TrainStepArgs, outcomes));
    args.session = session_;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(request.dataset));
    MB_RETURN_IF_ERROR(CheckSizes(request.rows, request.active));
    args.rows = ToAbi(request.rows);
    MB_RETURN_IF_ERROR(SetColumns(request.columns));
    args.columns = columns_.data();
    args.num_columns = columns_.size();
    args.active = request.active.empty() ? nullptr : request.active.data();
    if (request.keep_gradients) args.flags |= MB_STEP_KEEP_GRADIENTS;
    if (!request.update) args.flags |= MB_STEP_NO_UPDATE;
    if (request.accumulate) {
      args.flags |= MB_STEP_ACCUMULATE;
    }
    result->losses.assign(num_models(), 0.0f);
    args.losses = result->losses.data();
    args.outcomes = Prepare(&result->outcomes);
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_train_step, "session_train_step", &args));
    return CheckOutcomes("session_train_step", result->outcomes);
  }

  absl::Status TrainSteps(const StepsRequest& request,
                          StepsResult* result) override {
    // Plugins of 1.0 do not have it.
    if (api_.header.abi_minor < 1 ||
        !MB_HAS(&api_, MB_PluginApi, session_train_steps) ||
        api_.session_train_steps == nullptr) {
      return Session::TrainSteps(request, result);
    }
    constexpr char kCall[] = "session_train_steps";
    result->made = 0;
    MB_RETURN_IF_ERROR(CheckStepColumns(request));
    const size_t steps = request.rows.size();
    const size_t size = steps * num_models();
    MB_TrainStepsArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_TrainStepsArgs, num_made));
    args.session = session_;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(request.dataset));
    step_rows_.clear();
    for (const RowSet& rows : request.rows) {
      MB_RETURN_IF_ERROR(CheckSizes(rows, request.active));
      step_rows_.push_back(ToAbi(rows));
    }
    args.rows = step_rows_.data();
    args.num_steps = steps;
    MB_RETURN_IF_ERROR(SetColumns(request.columns, steps));
    args.columns = columns_.data();
    args.num_columns = columns_.size();
    args.active = request.active.empty() ? nullptr : request.active.data();
    result->losses.assign(size, 0.0f);
    args.losses = result->losses.data();
    args.outcomes = Prepare(&result->outcomes, steps);
    const absl::Status status =
        CallPlugin(api_, api_.session_train_steps, kCall, &args);
    if (args.num_made > steps || (status.ok() && args.num_made < steps)) {
      return BrokenAbi(
          api_, kCall,
          absl::StrCat("num_made is ", args.num_made, " of ", steps, " steps")
              .c_str());
    }
    result->losses.resize(args.num_made * num_models());
    result->outcomes.resize(args.num_made * num_models());
    MB_RETURN_IF_ERROR(CheckOutcomes(kCall, result->outcomes));
    result->made = static_cast<int64_t>(args.num_made);
    return status;
  }

  absl::Status Evaluate(const EvaluateRequest& request,
                        EvaluateResult* result) override {
    MB_EvaluateArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_EvaluateArgs, correct));
    args.session = session_;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(request.dataset));
    MB_RETURN_IF_ERROR(CheckSizes(request.rows, request.active));
    args.rows = ToAbi(request.rows);
    args.active = request.active.empty() ? nullptr : request.active.data();
    result->losses.assign(num_models(), 0.0);
    result->correct.assign(num_models(), -1);
    args.losses = result->losses.data();
    args.correct = result->correct.data();
    return CallPlugin(api_, api_.session_evaluate, "session_evaluate", &args);
  }

  absl::Status Forward(const ForwardRequest& request,
                       std::vector<Tensor>* outputs) override {
    MB_ForwardArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_ForwardArgs, outputs));
    args.session = session_;
    if (request.training) args.flags |= MB_FORWARD_TRAINING;
    const RowSet& rows = request.rows;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(request.dataset));
    MB_RETURN_IF_ERROR(CheckSizes(rows, {}));
    MB_RETURN_IF_ERROR(CheckOffsets(rows));
    args.rows = ToAbi(rows);

    std::vector<Shape> shapes;
    std::vector<int64_t> offsets;
    int64_t total = 0;
    for (size_t i = 0; i < num_models(); ++i) {
      MB_ASSIGN_OR_RETURN(Shape shape, OutputShape(i));
      shape.insert(shape.begin(), static_cast<int64_t>(RowsOf(rows, i).size()));
      offsets.push_back(total);
      total += RoundUp(NumElements(shape), kAlignFloats);
      shapes.push_back(std::move(shape));
    }
    Tensor all = Tensor::Zeros(DType::kFloat32, {total});
    args.output_offsets = offsets.data();
    args.outputs = all.data<float>();
    args.num_outputs = static_cast<size_t>(total);
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_forward, "session_forward", &args));
    outputs->clear();
    for (size_t i = 0; i < num_models(); ++i) {
      outputs->push_back(Tensor::Wrap(all.owner(), args.outputs + offsets[i],
                                      DType::kFloat32, std::move(shapes[i])));
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const BackwardRequest& request,
                        std::vector<Outcome>* outcomes) override {
    if (api_.session_backward == nullptr) return Lacks("session_backward");
    MB_BackwardArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_BackwardArgs, outcomes));
    args.session = session_;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(request.dataset));
    MB_RETURN_IF_ERROR(CheckSizes(request.rows, request.active));
    args.rows = ToAbi(request.rows);
    args.active = request.active.empty() ? nullptr : request.active.data();
    if (request.output_gradients.size() != num_models()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "output_gradients has ", request.output_gradients.size(),
          " entries, expected one for each of ", num_models(), " models"));
    }
    std::vector<const float*> gradients(num_models(), nullptr);
    std::vector<size_t> sizes(num_models(), 0);
    for (size_t i = 0; i < num_models(); ++i) {
      if (!request.active.empty() && request.active[i] == 0) continue;
      const Tensor& gradient = request.output_gradients[i];
      if (gradient.dtype() != DType::kFloat32) {
        return absl::InvalidArgumentError(
            absl::StrCat("the output gradient of ", ModelName(i), " is ",
                         DTypeName(gradient.dtype()), ", expected float32"));
      }
      gradients[i] = gradient.data<float>();
      sizes[i] = static_cast<size_t>(gradient.size());
    }
    args.output_gradients = gradients.data();
    args.output_gradient_sizes = sizes.data();
    args.outcomes = Prepare(outcomes);
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_backward, "session_backward", &args));
    return CheckOutcomes("session_backward", *outcomes);
  }

  absl::Status Update(const UpdateRequest& request,
                      std::vector<Outcome>* outcomes) override {
    if (api_.session_update == nullptr) return Lacks("session_update");
    MB_UpdateArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_UpdateArgs, outcomes));
    args.session = session_;
    MB_RETURN_IF_ERROR(SetColumns(request.columns));
    args.columns = columns_.data();
    args.num_columns = columns_.size();
    MB_RETURN_IF_ERROR(CheckSizes(RowSet{}, request.active));
    args.active = request.active.empty() ? nullptr : request.active.data();
    args.outcomes = Prepare(outcomes);
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_update, "session_update", &args));
    return CheckOutcomes("session_update", *outcomes);
  }

  absl::Status ZeroGrad(bool release) override {
    if (api_.session_zero_grad == nullptr) return Lacks("session_zero_grad");
    MB_ZeroGradArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_ZeroGradArgs, reserved));
    args.session = session_;
    args.release = release ? 1 : 0;
    return CallPlugin(api_, api_.session_zero_grad, "session_zero_grad", &args);
  }

  absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                   const std::string& parameter) override {
    MB_RETURN_IF_ERROR(CheckModel(model));
    MB_ASSIGN_OR_RETURN(Tensor value, MakeState(model, slot, parameter));
    MB_RETURN_IF_ERROR(MoveState(api_.session_read_state, "session_read_state",
                                 model, slot, parameter, value));
    return value;
  }

  absl::Status WriteState(int model, const std::string& slot,
                          const std::string& parameter,
                          const Tensor& value) override {
    MB_RETURN_IF_ERROR(CheckModel(model));
    return MoveState(api_.session_write_state, "session_write_state", model,
                     slot, parameter, value);
  }

  absl::StatusOr<ModelDescription> Describe(int model) override {
    if (api_.session_describe == nullptr) return Lacks("session_describe");
    MB_RETURN_IF_ERROR(CheckModel(model));
    MB_DescribeArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_DescribeArgs, output_rank));
    args.session = session_;
    args.model = static_cast<size_t>(model);
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_describe, "session_describe", &args));
    absl::StatusOr<ModelDescription> description = ReadDescription(args);
    if (description.ok()) return description;
    return BrokenAbi(
        api_, "session_describe",
        absl::StrCat(ModelName(model), ": ", description.status().message())
            .c_str());
  }

  absl::StatusOr<TuneReport> Tune(const Attributes& options) override {
    if (api_.session_tune == nullptr) return Lacks("session_tune");
    MB_RETURN_IF_ERROR(CheckCStrings(options, "options"));
    const NamedValues values(options);
    MB_TuneArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_TuneArgs, seconds));
    args.session = session_;
    args.options = values.data();
    args.num_options = values.size();
    const absl::Status status =
        CallPlugin(api_, api_.session_tune, "session_tune", &args);
    if (absl::IsUnimplemented(status)) {  // a session need not have it
      return absl::UnimplementedError(
          absl::StrCat("plugin \"", api_.name, "\": ", status.message()));
    }
    MB_RETURN_IF_ERROR(status);
    absl::StatusOr<TuneReport> report = ReadTuneReport(args);
    if (report.ok()) return report;
    return BrokenAbi(api_, "session_tune",
                     std::string(report.status().message()).c_str());
  }

  // Internal unless the plugin, if it tells, means the same parameters and
  // outputs as the models' layouts.
  absl::Status CheckLayouts() {
    if (api_.session_describe == nullptr) return absl::OkStatus();
    for (size_t i = 0; i < num_models(); ++i) {
      if (!layouts_[i].ok()) continue;  // no operators that the host knows
      const auto description = Describe(static_cast<int>(i));
      if (absl::IsUnimplemented(description.status())) return absl::OkStatus();
      MB_RETURN_IF_ERROR(description.status());
      const absl::Status same = CheckDescription(*description, *layouts_[i]);
      if (same.ok()) continue;
      return BrokenAbi(
          api_, "session_describe",
          absl::StrCat(ModelName(i), ": ", same.message()).c_str());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<SessionStats> Stats() override {
    if (api_.session_stats == nullptr) return Lacks("session_stats");
    MB_SessionStatsArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_SessionStatsArgs, plan));
    args.session = session_;
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_stats, "session_stats", &args));
    if (args.plan == nullptr) {
      return BrokenAbi(api_, "session_stats", "plan is NULL");
    }
    SessionStats stats;
    stats.state_bytes = args.state_bytes;
    stats.workspace_bytes = args.workspace_bytes;
    stats.plan = args.plan;
    return stats;
  }

 private:
  size_t num_models() const { return ids_.size(); }

  std::string ModelName(size_t model) const {
    return absl::StrCat("model ", model, " (id ", ids_[model], ")");
  }

  absl::Status Lacks(const char* call) const {
    return absl::UnimplementedError(
        absl::StrCat("plugin \"", api_.name, "\" does not have ", call));
  }

  absl::Status CheckModel(int model) const {
    if (model >= 0 && static_cast<size_t>(model) < num_models()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("model is ", model, ", expected 0 to ", num_models() - 1));
  }

  absl::StatusOr<MB_Dataset*> GetDataset(const Dataset* dataset) const {
    if (dataset == nullptr) {
      return absl::InvalidArgumentError("dataset is null");
    }
    const auto* own = dynamic_cast<const PluginDataset*>(dataset);
    if (own == nullptr || own->handle() != handle_.get()) {
      return absl::InvalidArgumentError(
          "dataset: made by another backend than the session");
    }
    return own->get();
  }

  // The sizes of arrays, which do not cross the ABI.
  absl::Status CheckSizes(const RowSet& rows,
                          absl::Span<const uint8_t> active) const {
    if (!rows.offsets.empty() && rows.offsets.size() != num_models() + 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("rows.offsets has ", rows.offsets.size(),
                       " entries, expected none or ", num_models() + 1));
    }
    if (!active.empty() && active.size() != num_models()) {
      return absl::InvalidArgumentError(
          absl::StrCat("active has ", active.size(),
                       " entries, expected none or ", num_models()));
    }
    return absl::OkStatus();
  }

  // The array in which a call leaves its outcomes.
  uint8_t* Prepare(std::vector<Outcome>* outcomes, size_t steps = 1) const {
    static_assert(sizeof(Outcome) == sizeof(uint8_t));
    outcomes->assign(steps * num_models(), static_cast<Outcome>(kNoOutcome));
    return reinterpret_cast<uint8_t*>(outcomes->data());
  }

  absl::Status CheckOutcomes(const char* call,
                             const std::vector<Outcome>& outcomes) const {
    for (size_t i = 0; i < outcomes.size(); ++i) {
      const int outcome = static_cast<int>(outcomes[i]);
      if (outcome <= kLastOutcome) continue;
      return BrokenAbi(api_, call,
                       absl::StrCat("outcomes[", i, "] is ", outcome,
                                    ", expected 0 to ", kLastOutcome)
                           .c_str());
    }
    return absl::OkStatus();
  }

  static absl::Status CheckOffsets(const RowSet& rows) {
    if (rows.offsets.empty()) return absl::OkStatus();
    if (std::is_sorted(rows.offsets.begin(), rows.offsets.end()) &&
        rows.offsets.front() == 0 &&
        rows.offsets.back() == static_cast<int64_t>(rows.rows.size())) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("rows.offsets: expected offsets that do not decrease, "
                     "from 0 to the number of rows, ",
                     rows.rows.size()));
  }

  // Into columns_, whose memory is that of the last step.
  absl::Status SetColumns(absl::Span<const Column> columns, size_t steps = 1) {
    columns_.clear();
    for (const Column& column : columns) {
      if (column.values.size() != steps * num_models()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "column \"", column.name, "\" has ", column.values.size(),
            " values, expected one for each of ", num_models(), " models",
            steps == 1 ? "" : absl::StrCat(" in each of ", steps, " steps")));
      }
      columns_.push_back({column.name.c_str(), column.values.data()});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Shape> OutputShape(size_t model) {
    if (layouts_[model].ok()) return layouts_[model]->output();
    absl::StatusOr<ModelDescription> description =
        Describe(static_cast<int>(model));
    if (description.ok()) return std::move(description->output);
    if (!absl::IsUnimplemented(description.status())) {
      return description.status();
    }
    return GetLayout(model).status();  // why it has none
  }

  absl::StatusOr<const Layout*> GetLayout(size_t model) const {
    if (layouts_[model].ok()) return &*layouts_[model];
    return absl::Status(
        layouts_[model].status().code(),
        absl::StrCat(ModelName(model), ": its shapes are not known: ",
                     layouts_[model].status().message()));
  }

  // Room for a tensor of the state: a parameter's has its shape, another's is
  // what the plugin says, or also the parameter's if it says nothing.
  absl::StatusOr<Tensor> MakeState(int model, const std::string& slot,
                                   const std::string& parameter) {
    if (slot == kStepSlot) return Tensor::Zeros(DType::kInt64, {});
    const bool known =
        layouts_[model].ok() && (slot == "param" || slot == "grad");
    if (!known && api_.session_describe != nullptr) {
      if (described_model_ != model) {
        const auto description = Describe(model);
        if (!description.ok() && !absl::IsUnimplemented(description.status())) {
          return description.status();
        }
        described_ =
            description.ok() ? description->states : std::vector<StateTensor>();
        described_model_ = model;
      }
      // A gradient has its parameter's shape, and is not described itself.
      const std::string like = slot == "grad" ? "param" : slot;
      for (const StateTensor& state : described_) {
        if (state.slot == like && state.parameter == parameter) {
          return Tensor::Zeros(state.dtype, state.shape);
        }
      }
    }
    // One number of the optimizer's state.
    if (parameter.empty()) return Tensor::Zeros(DType::kFloat32, {});
    MB_ASSIGN_OR_RETURN(const Shape* shape, FindShape(model, parameter));
    return Tensor::Zeros(DType::kFloat32, *shape);
  }

  absl::StatusOr<const Shape*> FindShape(size_t model,
                                         const std::string& parameter) const {
    MB_ASSIGN_OR_RETURN(const Layout* layout, GetLayout(model));
    std::string known;
    for (const Parameter& p : layout->parameters) {
      if (p.name == parameter) return &p.shape;
      absl::StrAppend(&known, known.empty() ? "" : ", ", p.name);
    }
    return absl::InvalidArgumentError(
        absl::StrCat(ModelName(model), " has no parameter \"", parameter,
                     "\"; it has: ", known));
  }

  absl::Status MoveState(MB_Error* (*function)(MB_StateArgs*), const char* name,
                         int model, const std::string& slot,
                         const std::string& parameter, const Tensor& tensor) {
    MB_DLTensor view = ViewAsDLTensor(tensor);
    MB_StateArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_StateArgs, tensor));
    args.session = session_;
    args.model = static_cast<size_t>(model);
    args.slot = slot.c_str();
    args.parameter = parameter.empty() ? nullptr : parameter.c_str();
    args.tensor = &view;
    return CallPlugin(api_, function, name, &args);
  }

  const std::shared_ptr<PluginHandle> handle_;
  const MB_PluginApi& api_;
  MB_Session* const session_;
  std::vector<int64_t> ids_;
  std::vector<absl::StatusOr<Layout>> layouts_;
  std::vector<MB_Column> columns_;
  std::vector<MB_Rows> step_rows_;
  // Of the model whose state was read last; -1: none.
  int described_model_ = -1;
  std::vector<StateTensor> described_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Session>> MakePluginSession(
    std::shared_ptr<PluginHandle> handle, MB_Session* session,
    const std::vector<ModelInstance>& models) {
  auto result =
      std::make_unique<PluginSession>(std::move(handle), session, models);
  MB_RETURN_IF_ERROR(result->CheckLayouts());
  return std::unique_ptr<Session>(std::move(result));
}

}  // namespace modelbatch
