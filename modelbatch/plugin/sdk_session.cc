#include <climits>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/abi_models.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/plugin/named_values.h"
#include "modelbatch/plugin/sdk_calls.h"
#include "modelbatch/plugin/sdk_objects.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::sdk {
namespace {

// The rows of a call; the result points into `rows`.
absl::StatusOr<RowSet> ToRowSet(const MB_Rows& rows, size_t num_models) {
  if (rows.rows == nullptr && rows.num_rows > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows.rows is NULL, expected ", rows.num_rows, " rows"));
  }
  RowSet result;
  result.rows = absl::MakeConstSpan(rows.rows, rows.num_rows);
  if (rows.offsets == nullptr) return result;
  int64_t previous = 0;
  for (size_t i = 0; i <= num_models; ++i) {
    const int64_t offset = rows.offsets[i];
    const bool last = i == num_models;
    if (offset < previous || (i == 0 && offset != 0) ||
        (last && offset != static_cast<int64_t>(rows.num_rows))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "rows.offsets[", i, "] is ", offset,
          ", expected offsets that do not decrease, from 0 to num_rows (",
          rows.num_rows, ") for ", num_models, " models"));
    }
    previous = offset;
  }
  result.offsets = absl::MakeConstSpan(rows.offsets, num_models + 1);
  return result;
}

// The dataset of a call: there, and made by the session's backend.
absl::Status CheckDataset(const MB_Session* session,
                          const MB_Dataset* dataset) {
  MB_RETURN_IF_ERROR(CheckPointer(session, "session"));
  MB_RETURN_IF_ERROR(CheckPointer(dataset, "dataset"));
  if (dataset->backend == session->backend) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "dataset: made by another backend than the session");
}

absl::Span<const uint8_t> ToActive(const uint8_t* active, size_t num_models) {
  if (active == nullptr) return {};
  return absl::MakeConstSpan(active, num_models);
}

// Copies into the session's columns, whose memory is that of the last step.
template <typename Args>
absl::Status CopyColumns(const Args& args, std::vector<Column>* columns,
                         size_t steps = 1) {
  if (args.columns == nullptr && args.num_columns > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "columns is NULL, expected ", args.num_columns, " columns"));
  }
  columns->resize(args.num_columns);
  for (size_t c = 0; c < args.num_columns; ++c) {
    const MB_Column& from = args.columns[c];
    if (from.name == nullptr || from.values == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("columns[", c, "].",
                       from.name == nullptr ? "name" : "values", " is NULL"));
    }
    for (size_t earlier = 0; earlier < c; ++earlier) {
      if ((*columns)[earlier].name == from.name) {
        return absl::InvalidArgumentError(
            absl::StrCat("columns[", c, "]: \"", from.name, "\" comes twice"));
      }
    }
    Column& to = (*columns)[c];
    if (to.name != from.name) to.name = from.name;
    to.values.assign(from.values,
                     from.values + steps * args.session->num_models);
  }
  return absl::OkStatus();
}

absl::Status CheckResultSize(const char* what, size_t size, size_t expected) {
  if (size == expected) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("the backend returned ", size, " ",
                                          what, " for ", expected, " models"));
}

absl::Status WriteOutcomes(const std::vector<Outcome>& outcomes,
                           size_t num_models, uint8_t* out) {
  MB_RETURN_IF_ERROR(CheckResultSize("outcomes", outcomes.size(), num_models));
  for (size_t i = 0; i < num_models; ++i) {
    out[i] = static_cast<uint8_t>(outcomes[i]);
  }
  return absl::OkStatus();
}

struct StateKey {
  int model = 0;
  std::string slot;
  std::string parameter;  // empty: none

  std::string ToString() const {
    return absl::StrCat("model ", model, ", ", slot,
                        parameter.empty() ? "" : " of ", parameter);
  }
};

absl::StatusOr<StateKey> ToStateKey(const MB_StateArgs& args) {
  MB_RETURN_IF_ERROR(CheckPointer(args.session, "session"));
  MB_RETURN_IF_ERROR(CheckPointer(args.slot, "slot"));
  MB_RETURN_IF_ERROR(CheckPointer(args.tensor, "tensor"));
  if (args.model >= args.session->num_models || args.model > INT_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("model is ", args.model,
                                                   ", expected less than ",
                                                   args.session->num_models));
  }
  return StateKey{static_cast<int>(args.model), args.slot,
                  args.parameter == nullptr ? "" : args.parameter};
}

std::string Describe(const Tensor& tensor) {
  return absl::StrCat(DTypeName(tensor.dtype()), " ",
                      ShapeToString(tensor.shape()));
}

// What was made, with all its losses and outcomes, into the caller's arrays.
absl::Status CopySteps(const StepsResult& result, bool all,
                       MB_TrainStepsArgs* args) {
  const size_t made = static_cast<size_t>(result.made);
  if (made > args->num_steps || (all && made < args->num_steps)) {
    return absl::InternalError(absl::StrCat("the backend made ", result.made,
                                            " steps of ", args->num_steps));
  }
  const size_t size = made * args->session->num_models;
  MB_RETURN_IF_ERROR(CheckResultSize("losses", result.losses.size(), size));
  MB_RETURN_IF_ERROR(CheckResultSize("outcomes", result.outcomes.size(), size));
  for (size_t i = 0; i < size; ++i) {
    args->losses[i] = result.losses[i];
    args->outcomes[i] = static_cast<uint8_t>(result.outcomes[i]);
  }
  args->num_made = made;
  return absl::OkStatus();
}

}  // namespace

absl::Status SessionCompile(MB_SessionCompileArgs* args) {
  MB_SDK_CHECK_ARGS(MB_SessionCompileArgs, args, session);
  MB_RETURN_IF_ERROR(CheckPointer(args->backend, "backend"));
  MB_RETURN_IF_ERROR(CheckPointer(args->loss, "loss"));
  if (args->num_models == 0 || args->num_models > INT_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(
        "num_models is ", args->num_models, ", expected 1 to ", INT_MAX));
  }
  MB_RETURN_IF_ERROR(CheckPointer(args->models, "models"));
  if (args->max_rows < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_rows is ", args->max_rows, ", expected at least 0"));
  }

  CompileRequest request;
  request.models.reserve(args->num_models);
  for (size_t i = 0; i < args->num_models; ++i) {
    MB_ASSIGN_OR_RETURN(ModelInstance model,
                        ToModelInstance(args->models[i], i));
    request.models.push_back(std::move(model));
  }
  request.loss.kind = args->loss;
  MB_ASSIGN_OR_RETURN(
      request.loss.attributes,
      ToAttributes(args->loss_attributes, args->num_loss_attributes,
                   "loss_attributes"));
  request.max_rows = args->max_rows;
  MB_ASSIGN_OR_RETURN(
      request.options,
      ToAttributes(args->options, args->num_options, "options"));

  auto session = std::make_unique<MB_Session>();
  session->backend = args->backend->backend;
  session->num_models = args->num_models;
  MB_ASSIGN_OR_RETURN(session->session, session->backend->Compile(request));
  if (session->session == nullptr) {
    return absl::InternalError("the backend compiled a null session");
  }
  args->session = session.release();
  return absl::OkStatus();
}

absl::Status SessionSetOptimizer(MB_OptimizerArgs* args) {
  MB_SDK_CHECK_ARGS(MB_OptimizerArgs, args, optimizer);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  MB_RETURN_IF_ERROR(CheckPointer(args->optimizer, "optimizer"));
  return args->session->session->SetOptimizer(args->optimizer);
}

absl::Status SessionReadState(MB_StateArgs* args) {
  MB_SDK_CHECK_ARGS(MB_StateArgs, args, tensor);
  MB_ASSIGN_OR_RETURN(const StateKey key, ToStateKey(*args));
  MB_ASSIGN_OR_RETURN(Tensor target,
                      BorrowDLTensor(*args->tensor, key.ToString()));
  MB_ASSIGN_OR_RETURN(
      const Tensor value,
      args->session->session->ReadState(key.model, key.slot, key.parameter));
  if (target.dtype() != value.dtype() || target.shape() != value.shape()) {
    return absl::InvalidArgumentError(
        absl::StrCat(key.ToString(), ": tensor is ", Describe(target),
                     ", expected ", Describe(value)));
  }
  if (value.byte_size() > 0) {
    std::memcpy(target.raw(), value.raw(), value.byte_size());
  }
  return absl::OkStatus();
}

absl::Status SessionWriteState(MB_StateArgs* args) {
  MB_SDK_CHECK_ARGS(MB_StateArgs, args, tensor);
  MB_ASSIGN_OR_RETURN(const StateKey key, ToStateKey(*args));
  MB_ASSIGN_OR_RETURN(const Tensor value,
                      BorrowDLTensor(*args->tensor, key.ToString()));
  return args->session->session->WriteState(key.model, key.slot, key.parameter,
                                            value);
}

absl::Status SessionTrainStep(MB_TrainStepArgs* args) {
  MB_SDK_CHECK_ARGS(MB_TrainStepArgs, args, outcomes);
  MB_RETURN_IF_ERROR(CheckDataset(args->session, args->dataset));
  MB_RETURN_IF_ERROR(CheckPointer(args->losses, "losses"));
  MB_RETURN_IF_ERROR(CheckPointer(args->outcomes, "outcomes"));
  constexpr uint32_t kKnownFlags =
      MB_STEP_KEEP_GRADIENTS | MB_STEP_NO_UPDATE | MB_STEP_ACCUMULATE;
  if ((args->flags & ~kKnownFlags) != 0 || args->reserved != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("flags is ", args->flags, " and reserved ", args->reserved,
                     ", expected no flags but ", kKnownFlags, " and 0"));
  }
  MB_Session& session = *args->session;
  const size_t num_models = session.num_models;
  StepRequest request;
  request.dataset = args->dataset->dataset.get();
  MB_ASSIGN_OR_RETURN(request.rows, ToRowSet(args->rows, num_models));
  MB_RETURN_IF_ERROR(CopyColumns(*args, &session.columns));
  request.columns = session.columns;
  request.active = ToActive(args->active, num_models);
  request.keep_gradients = (args->flags & MB_STEP_KEEP_GRADIENTS) != 0;
  request.update = (args->flags & MB_STEP_NO_UPDATE) == 0;
  request.accumulate = (args->flags & MB_STEP_ACCUMULATE) != 0;
  if (request.accumulate && (request.update || !request.keep_gradients)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "flags is ", args->flags, ": MB_STEP_ACCUMULATE comes with ",
        "MB_STEP_KEEP_GRADIENTS and MB_STEP_NO_UPDATE only"));
  }

  StepResult& result = session.step;
  MB_RETURN_IF_ERROR(session.session->TrainStep(request, &result));
  MB_RETURN_IF_ERROR(
      CheckResultSize("losses", result.losses.size(), num_models));
  MB_RETURN_IF_ERROR(
      CheckResultSize("outcomes", result.outcomes.size(), num_models));
  for (size_t i = 0; i < num_models; ++i) {
    args->losses[i] = result.losses[i];
    args->outcomes[i] = static_cast<uint8_t>(result.outcomes[i]);
  }
  return absl::OkStatus();
}

absl::Status SessionTrainSteps(MB_TrainStepsArgs* args) {
  MB_SDK_CHECK_ARGS(MB_TrainStepsArgs, args, num_made);
  args->num_made = 0;
  MB_RETURN_IF_ERROR(CheckDataset(args->session, args->dataset));
  MB_RETURN_IF_ERROR(CheckPointer(args->rows, "rows"));
  MB_RETURN_IF_ERROR(CheckPointer(args->losses, "losses"));
  MB_RETURN_IF_ERROR(CheckPointer(args->outcomes, "outcomes"));
  if (args->num_steps == 0) {
    return absl::InvalidArgumentError("num_steps is 0, expected at least 1");
  }
  MB_Session& session = *args->session;
  const size_t num_models = session.num_models;
  session.rows.clear();
  for (size_t s = 0; s < args->num_steps; ++s) {
    absl::StatusOr<RowSet> rows = ToRowSet(args->rows[s], num_models);
    if (!rows.ok()) {
      return absl::Status(
          rows.status().code(),
          absl::StrCat("step ", s, ": ", rows.status().message()));
    }
    session.rows.push_back(*rows);
  }
  MB_RETURN_IF_ERROR(CopyColumns(*args, &session.columns, args->num_steps));
  StepsRequest request;
  request.dataset = args->dataset->dataset.get();
  request.rows = session.rows;
  request.columns = session.columns;
  request.active = ToActive(args->active, num_models);

  StepsResult& result = session.steps;
  result.made = 0;
  result.losses.clear();
  result.outcomes.clear();
  try {
    const absl::Status status = session.session->TrainSteps(request, &result);
    MB_RETURN_IF_ERROR(CopySteps(result, status.ok(), args));
    return status;
  } catch (...) {
    // The steps before it were made all the same; of this one may be a part.
    const size_t size = static_cast<size_t>(result.made) * num_models;
    if (result.losses.size() > size) result.losses.resize(size);
    if (result.outcomes.size() > size) result.outcomes.resize(size);
    MB_RETURN_IF_ERROR(CopySteps(result, false, args));
    throw;
  }
}

absl::Status SessionEvaluate(MB_EvaluateArgs* args) {
  MB_SDK_CHECK_ARGS(MB_EvaluateArgs, args, correct);
  MB_RETURN_IF_ERROR(CheckDataset(args->session, args->dataset));
  MB_RETURN_IF_ERROR(CheckPointer(args->losses, "losses"));
  MB_RETURN_IF_ERROR(CheckPointer(args->correct, "correct"));
  MB_Session& session = *args->session;
  const size_t num_models = session.num_models;
  EvaluateRequest request;
  request.dataset = args->dataset->dataset.get();
  MB_ASSIGN_OR_RETURN(request.rows, ToRowSet(args->rows, num_models));
  request.active = ToActive(args->active, num_models);

  EvaluateResult& result = session.evaluation;
  MB_RETURN_IF_ERROR(session.session->Evaluate(request, &result));
  MB_RETURN_IF_ERROR(
      CheckResultSize("losses", result.losses.size(), num_models));
  MB_RETURN_IF_ERROR(
      CheckResultSize("counts", result.correct.size(), num_models));
  for (size_t i = 0; i < num_models; ++i) {
    args->losses[i] = result.losses[i];
    args->correct[i] = result.correct[i];
  }
  return absl::OkStatus();
}

absl::Status SessionForward(MB_ForwardArgs* args) {
  MB_SDK_CHECK_ARGS(MB_ForwardArgs, args, outputs);
  MB_RETURN_IF_ERROR(CheckDataset(args->session, args->dataset));
  MB_RETURN_IF_ERROR(CheckPointer(args->output_offsets, "output_offsets"));
  if (args->num_outputs > 0) {
    MB_RETURN_IF_ERROR(CheckPointer(args->outputs, "outputs"));
  }
  if ((args->flags & ~uint32_t{MB_FORWARD_TRAINING}) != 0 ||
      args->reserved != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "flags is ", args->flags, " and reserved ", args->reserved,
        ", expected no flags but ", MB_FORWARD_TRAINING, " and 0"));
  }
  ForwardRequest request;
  request.training = (args->flags & MB_FORWARD_TRAINING) != 0;
  MB_Session& session = *args->session;
  const size_t num_models = session.num_models;
  MB_ASSIGN_OR_RETURN(const RowSet rows, ToRowSet(args->rows, num_models));
  request.dataset = args->dataset->dataset.get();
  request.rows = rows;
  std::vector<Tensor> outputs;
  MB_RETURN_IF_ERROR(session.session->Forward(request, &outputs));
  MB_RETURN_IF_ERROR(CheckResultSize("outputs", outputs.size(), num_models));
  for (size_t i = 0; i < num_models; ++i) {
    const Tensor& output = outputs[i];
    if (output.dtype() != DType::kFloat32 || output.shape().empty() ||
        output.shape()[0] != static_cast<int64_t>(RowsOf(rows, i).size())) {
      return absl::InternalError(absl::StrCat(
          "the backend's output for model ", i, " is ", Describe(output),
          ", expected float32 with ", RowsOf(rows, i).size(), " rows"));
    }
    const int64_t offset = args->output_offsets[i];
    const int64_t capacity = static_cast<int64_t>(args->num_outputs);
    if (offset < 0 || offset > capacity || output.size() > capacity - offset) {
      return absl::InvalidArgumentError(absl::StrCat(
          "output_offsets[", i, "] is ", offset, " and num_outputs ", capacity,
          ", expected room for ", output.size(), " floats"));
    }
    if (output.byte_size() > 0) {
      std::memcpy(args->outputs + offset, output.raw(), output.byte_size());
    }
  }
  return absl::OkStatus();
}

absl::Status SessionDescribe(MB_DescribeArgs* args) {
  MB_SDK_CHECK_ARGS(MB_DescribeArgs, args, output_rank);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  MB_Session& session = *args->session;
  if (args->model >= session.num_models) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model is ", args->model, ", expected less than ", session.num_models));
  }
  MB_ASSIGN_OR_RETURN(ModelDescription description,
                      session.session->Describe(static_cast<int>(args->model)));
  session.description =
      std::make_unique<AbiDescription>(std::move(description));
  session.description->Fill(args);
  return absl::OkStatus();
}

absl::Status SessionStats(MB_SessionStatsArgs* args) {
  MB_SDK_CHECK_ARGS(MB_SessionStatsArgs, args, plan);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  MB_ASSIGN_OR_RETURN(modelbatch::SessionStats stats,
                      args->session->session->Stats());
  args->state_bytes = stats.state_bytes;
  args->workspace_bytes = stats.workspace_bytes;
  args->plan =
      args->session->plans.insert(std::move(stats.plan)).first->c_str();
  return absl::OkStatus();
}

absl::Status SessionBackward(MB_BackwardArgs* args) {
  MB_SDK_CHECK_ARGS(MB_BackwardArgs, args, outcomes);
  MB_RETURN_IF_ERROR(CheckDataset(args->session, args->dataset));
  MB_RETURN_IF_ERROR(CheckPointer(args->output_gradients, "output_gradients"));
  MB_RETURN_IF_ERROR(
      CheckPointer(args->output_gradient_sizes, "output_gradient_sizes"));
  MB_RETURN_IF_ERROR(CheckPointer(args->outcomes, "outcomes"));
  MB_Session& session = *args->session;
  const size_t num_models = session.num_models;
  BackwardRequest request;
  request.dataset = args->dataset->dataset.get();
  MB_ASSIGN_OR_RETURN(request.rows, ToRowSet(args->rows, num_models));
  request.active = ToActive(args->active, num_models);
  std::vector<Tensor> gradients(num_models);
  for (size_t i = 0; i < num_models; ++i) {
    const int64_t rows = static_cast<int64_t>(RowsOf(request.rows, i).size());
    if ((!request.active.empty() && request.active[i] == 0) || rows == 0) {
      continue;
    }
    const float* const data = args->output_gradients[i];
    const size_t size = args->output_gradient_sizes[i];
    if (data == nullptr || size % rows != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("output_gradients[", i, "] is ",
                       data == nullptr ? "NULL" : absl::StrCat(size, " floats"),
                       ", expected the model's outputs for ", rows, " rows"));
    }
    // Only read.
    gradients[i] =
        Tensor::Wrap(nullptr, const_cast<float*>(data), DType::kFloat32,
                     {rows, static_cast<int64_t>(size) / rows});
  }
  request.output_gradients = gradients;
  MB_RETURN_IF_ERROR(session.session->Backward(request, &session.outcomes));
  return WriteOutcomes(session.outcomes, num_models, args->outcomes);
}

absl::Status SessionUpdate(MB_UpdateArgs* args) {
  MB_SDK_CHECK_ARGS(MB_UpdateArgs, args, outcomes);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  MB_RETURN_IF_ERROR(CheckPointer(args->outcomes, "outcomes"));
  MB_Session& session = *args->session;
  MB_RETURN_IF_ERROR(CopyColumns(*args, &session.columns));
  UpdateRequest request;
  request.columns = session.columns;
  request.active = ToActive(args->active, session.num_models);
  MB_RETURN_IF_ERROR(session.session->Update(request, &session.outcomes));
  return WriteOutcomes(session.outcomes, session.num_models, args->outcomes);
}

absl::Status SessionZeroGrad(MB_ZeroGradArgs* args) {
  MB_SDK_CHECK_ARGS(MB_ZeroGradArgs, args, reserved);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  if (args->release > 1 || args->reserved != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("release is ", args->release, " and reserved ",
                     args->reserved, ", expected 0 or 1, and 0"));
  }
  return args->session->session->ZeroGrad(args->release == 1);
}

absl::Status SessionTune(MB_TuneArgs* args) {
  MB_SDK_CHECK_ARGS(MB_TuneArgs, args, seconds);
  MB_RETURN_IF_ERROR(CheckPointer(args->session, "session"));
  MB_ASSIGN_OR_RETURN(
      const Attributes options,
      ToAttributes(args->options, args->num_options, "options"));
  MB_Session& session = *args->session;
  MB_ASSIGN_OR_RETURN(TuneReport report, session.session->Tune(options));
  session.tune_report = std::make_unique<AbiTuneReport>(std::move(report));
  session.tune_report->Fill(args);
  return absl::OkStatus();
}

}  // namespace modelbatch::sdk
