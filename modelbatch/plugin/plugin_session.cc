#include "modelbatch/plugin/plugin_session.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/plugin/abi_call.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kStepSlot[] = "step";
// An outcome that no plugin may return: shows what it left out.
constexpr uint8_t kNoOutcome = 0xff;
constexpr uint8_t kLastOutcome =
    static_cast<uint8_t>(Outcome::kNonFiniteGradient);
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
    result->losses.assign(num_models(), 0.0f);
    result->outcomes.assign(num_models(), static_cast<Outcome>(kNoOutcome));
    args.losses = result->losses.data();
    static_assert(sizeof(Outcome) == sizeof(uint8_t));
    args.outcomes = reinterpret_cast<uint8_t*>(result->outcomes.data());
    MB_RETURN_IF_ERROR(
        CallPlugin(api_, api_.session_train_step, "session_train_step", &args));
    for (size_t i = 0; i < num_models(); ++i) {
      if (args.outcomes[i] > kLastOutcome) {
        return BrokenAbi(
            api_, "session_train_step",
            absl::StrCat("outcomes[", i, "] is ",
                         static_cast<int>(args.outcomes[i]), ", expected 0 to ",
                         static_cast<int>(kLastOutcome))
                .c_str());
      }
    }
    return absl::OkStatus();
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

  absl::Status Forward(const Dataset& dataset, const RowSet& rows,
                       std::vector<Tensor>* outputs) override {
    if (!MB_HAS(&api_, MB_PluginApi, session_forward) ||
        api_.session_forward == nullptr) {
      return Lacks("session_forward");
    }
    MB_ForwardArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_ForwardArgs, num_outputs));
    args.session = session_;
    MB_ASSIGN_OR_RETURN(args.dataset, GetDataset(&dataset));
    MB_RETURN_IF_ERROR(CheckSizes(rows, {}));
    MB_RETURN_IF_ERROR(CheckOffsets(rows));
    args.rows = ToAbi(rows);

    std::vector<Shape> shapes;
    std::vector<int64_t> offsets;
    int64_t total = 0;
    for (size_t i = 0; i < num_models(); ++i) {
      MB_ASSIGN_OR_RETURN(const Layout* layout, GetLayout(i));
      Shape shape = layout->output();
      shape.insert(shape.begin(), static_cast<int64_t>(RowsOf(rows, i).size()));
      offsets.push_back(total);
      total +=
          (NumElements(shape) + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
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

  absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                   const std::string& parameter) override {
    MB_RETURN_IF_ERROR(CheckModel(model));
    Tensor value;
    if (slot == kStepSlot) {
      value = Tensor::Zeros(DType::kInt64, {});
    } else {
      MB_ASSIGN_OR_RETURN(const Shape* shape, FindShape(model, parameter));
      value = Tensor::Zeros(DType::kFloat32, *shape);
    }
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

  absl::StatusOr<SessionStats> Stats() override {
    if (!MB_HAS(&api_, MB_PluginApi, session_stats) ||
        api_.session_stats == nullptr) {
      return Lacks("session_stats");
    }
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
  absl::Status SetColumns(absl::Span<const Column> columns) {
    columns_.clear();
    for (const Column& column : columns) {
      if (column.values.size() != num_models()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "column \"", column.name, "\" has ", column.values.size(),
            " values, expected one for each of ", num_models(), " models"));
      }
      columns_.push_back({column.name.c_str(), column.values.data()});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const Layout*> GetLayout(size_t model) const {
    if (layouts_[model].ok()) return &*layouts_[model];
    return absl::Status(
        layouts_[model].status().code(),
        absl::StrCat(ModelName(model), ": its shapes are not known: ",
                     layouts_[model].status().message()));
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
};

}  // namespace

std::unique_ptr<Session> MakePluginSession(
    std::shared_ptr<PluginHandle> handle, MB_Session* session,
    const std::vector<ModelInstance>& models) {
  return std::make_unique<PluginSession>(std::move(handle), session, models);
}

}  // namespace modelbatch
